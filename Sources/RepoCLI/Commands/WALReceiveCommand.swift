import ArgumentParser
import PostgresClient
import PostgresFormats
import RepoBase
import WALArchive

struct WALReceiveCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Stream a server's log into the repository, as it is written.",
        discussion: """
            Runs until it is told to stop (SIGTERM, SIGINT), connects again after every failure, follows promotions, and goes on where it \
            ended, without a gap. What the server is told to be safe is on this machine's disk, in the spool; segments go into the repository \
            as soon as they are full, and what there is of the last one every half minute and when the connection is lost.

            A server that names it in synchronous_standby_names (by its application name, 'repo') loses nothing that it has acknowledged. \
            A slot keeps the log on the server while this is not running: while nothing receives, the server's disk fills up. Set \
            max_slot_wal_keep_size, and drop the slot when it is not used any more.

            Examples:
              repo wal receive --dsn 'host=db.example.com user=backup' --slot repo --create-slot
              repo wal receive --source main-db --slot repo --spool /var/lib/repo
              repo wal receive --drain
            """)

    @Option(help: ArgumentHelp("How to reach the server, as libpq takes it: 'host=… user=…', a URI, or 'service=…'.", valueName: "dsn"))
    var dsn: String?
    @Option(help: ArgumentHelp("Take the server of this source of the configuration.", valueName: "name"))
    var source: String?
    @Option(help: ArgumentHelp("The physical replication slot that keeps the log on the server.", valueName: "name"))
    var slot: String?
    @Flag(help: "Make the slot when it is not there; without --slot it is called 'repo'.")
    var createSlot = false
    @Option(help: ArgumentHelp("The name in synchronous_standby_names. (default: repo)", valueName: "name"))
    var applicationName: String?
    @Option(
        help: ArgumentHelp(
            "Where the log is kept until the repository has it; no cache. (default: $STATE_DIRECTORY, else ~/.local/state/repo)",
            valueName: "folder"))
    var spool: String?
    @Option(help: ArgumentHelp("Read no more from the server while so much waits in the spool. (default: 16G)", valueName: "size"))
    var spoolLimit: String?
    @Option(help: ArgumentHelp("Seconds between two stores of what there is of a segment.", valueName: "seconds"))
    var partialInterval = 30
    @Option(help: ArgumentHelp("Seconds between two messages to a server that sends nothing.", valueName: "seconds"))
    var statusInterval = 10
    @Option(help: ArgumentHelp("Seconds of silence after which the connection counts as lost.", valueName: "seconds"))
    var timeout = 60
    @Option(help: ArgumentHelp("End when the log is received up to this position, as in 16/B374D848.", valueName: "position"))
    var stopAt: String?
    @Flag(help: "End when all that the server had is received, and nothing more comes.")
    var untilIdle = false
    @Flag(help: "End at the first failure instead of connecting again.")
    var noRetry = false
    @Flag(help: "Where the server no longer has what follows, go on at the oldest log that it has.")
    var allowGap = false
    @Flag(help: "Archive a segment although its check found damage twice; recovery may not get past it.")
    var acceptDamage = false
    @Flag(help: "Put what is in the spool into the repository and end; asks no server.")
    var drain = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let options = try options(context)
        let output = ReceiveOutput(context)
        if drain {
            let archive = WALArchive(try context.openRepository())
            let problems = LogReceiver.drain(archive, options: options) { output.show($0) }
            for problem in problems.dropFirst() { output.show(.warning(problem.message)) }
            if let first = problems.first { throw first }
            return ExitStatus.done
        }
        let target = try target(context)
        let archive = WALArchive(try context.openRepository())
        let cancellation = try CancellationFlag()
        let receiver = LogReceiver(archive, target, options: options, cancellation: cancellation) { output.show($0) }
        ServiceNotification.send("READY=1")
        let outcome = try Interruption.during({
            ServiceNotification.send("STOPPING=1")
            cancellation.cancel()
            // It ends by itself, once what has come is stored; a second signal ends it at once, and the spool keeps the rest.
            return false
        }) { try receiver.run() }
        output.finish(outcome)
        if let problem = outcome.problem {
            throw RepoError(
                problem.code, "\(problem.message); the log up to \(outcome.flushed) is kept in the spool",
                advice: "'repo wal receive' stores it when it runs again, or --drain without a server. \(problem.advice)")
        }
        return ExitStatus.done
    }

    private func options(_ context: CommandContext) throws -> ReceiveOptions {
        var options = ReceiveOptions(spool: try spool.map(LogAccess.absolute) ?? context.stateDirectory() + "/wal-receive")
        options.slot = slot ?? (createSlot ? "repo" : nil)
        options.createsSlot = createSlot
        if let slot = options.slot { try Self.checkSlot(slot) }
        if let spoolLimit {
            guard let size = ByteCount.parse(spoolLimit) else {
                throw RepoError(.usage, "--spool-limit is a size as in 16G, not '\(spoolLimit)'")
            }
            options.spoolLimit = size
        }
        for (name, seconds) in [("partial-interval", partialInterval), ("status-interval", statusInterval), ("timeout", timeout)] {
            guard (1...86_400).contains(seconds) else { throw RepoError(.usage, "--\(name) is a number of seconds from 1 to 86400, not \(seconds)") }
        }
        options.partialInterval = .seconds(partialInterval)
        options.statusInterval = .seconds(statusInterval)
        options.timeout = .seconds(timeout)
        if let stopAt {
            guard let position = LogSequenceNumber(stopAt) else {
                throw RepoError(.usage, "--stop-at is a position of the log as in 16/B374D848, not '\(stopAt)'")
            }
            options.stopAt = position
        }
        options.endsWhenIdle = untilIdle
        options.retries = !noRetry
        options.allowsGap = allowGap
        options.acceptsDamage = acceptDamage
        return options
    }

    /// ReplicationSlotValidateName, replication/slot.c.
    private static func checkSlot(_ name: String) throws(RepoError) {
        let allowed = name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
        guard allowed, (1...63).contains(name.utf8.count) else {
            throw RepoError(.usage, "'\(name)' cannot be a replication slot's name", advice: "It has lower-case letters, digits and underscores, at most 63.")
        }
    }

    private func target(_ context: CommandContext) throws -> ConnectionTarget {
        let text: String
        switch (dsn, source) {
        case (let dsn?, nil): text = dsn
        case (nil, let name?):
            guard let found = try context.configuration().sources.first(where: { $0.name == name }) else {
                throw RepoError(.usage, "the configuration has no source '\(name)'")
            }
            guard case .postgres(let postgres) = found.kind else { throw RepoError(.usage, "the source '\(name)' is no PostgreSQL server") }
            text = postgres.dsn
        default:
            throw RepoError(.usage, "name the server by one of --dsn and --source", advice: "As in --dsn 'host=/run/postgresql user=backup'.")
        }
        let target = try ConnectionTarget(text)
        return applicationName.map(target.named) ?? target
    }
}
