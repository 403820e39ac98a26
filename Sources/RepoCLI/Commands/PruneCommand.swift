import ArgumentParser
import BlobEngine
import Policy
import RepoBase
import Repository
import Storage
import WALArchive

struct PruneCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Free what no snapshot needs, beside running snapshots.",
        discussion: """
            Packs are deleted once no running snapshot can need them; otherwise a later run goes on with them. Of a \
            database's log, what no base backup leads to is deleted, too. Where the location has lock=, the locks of all \
            that is needed are extended, and what is locked and not needed any more is deleted by the first run after its lock has ended.

            Examples:
              repo prune
              repo prune --dry-run --max-unused 10%
              repo prune --end-rotation
            """)

    @OptionGroup var prune: PruneArguments
    @Flag(name: .customLong("dry-run"), help: "Say what would be freed, and change nothing.") var isDryRun =
        false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        try prune.run(try context.openRepository(to: "prune"), context, isDryRun: isDryRun)
    }
}

/// Options of collecting, for `prune` and for `forget --prune`.
struct PruneArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The share of stored data that may stay unused.", valueName: "percentage"))
    var maxUnused = "5%"
    @Option(
        help: ArgumentHelp(
            "Wait no longer for a snapshot that gave no sign for so long.", valueName: "duration"))
    var fenceAfter = "7d"
    @Option(
        help: ArgumentHelp(
            "Leave packs that no index names alone until they are so old.", valueName: "duration"))
    var minAge = "1d"
    @Flag(help: "Seal anew all that earlier keys of 'repo key rotate' still open.")
    var endRotation = false
    @Flag(help: "Rewrite packs in archival tiers as well; they have to have been brought back.")
    var rewriteArchived = false

    @Option(
        help: ArgumentHelp(
            "How far back every moment of a database must stay recoverable; by default as the configuration says, else from its oldest base backup on.",
            valueName: "span"))
    var recoveryWindow: String?

    /// Runs the collector and prints what it did.
    /// - Parameter gone: snapshots that a dry run takes as forgotten.
    func run(
        _ repository: OpenRepository, _ context: CommandContext, isDryRun: Bool, without gone: Set<ObjectID> = []
    ) throws -> Int32 {
        do {
            return try collect(repository, context, isDryRun: isDryRun, without: gone)
        } catch let error as RepoError where repository.store.lock != nil && !isDryRun && error.code != .usage {
            // Whatever kept it from collecting, such as a pack that somebody has deleted, must not let the locks of the rest run out.
            if let locks = try? LockExtension(repository).run() { context.note(LockReport.line(locks)) }
            throw error
        }
    }

    private func collect(_ repository: OpenRepository, _ context: CommandContext, isDryRun: Bool, without gone: Set<ObjectID>) throws -> Int32 {
        var options = CollectionOptions()
        options.isDryRun = isDryRun
        options.withoutSnapshots = gone
        options.endsRotation = endRotation
        options.rewritesArchived = rewriteArchived
        options.maximumUnused = try share(maxUnused)
        options.fenceAfter = try ElapsedTime.parse(fenceAfter).components.seconds
        options.minimumAge = try ElapsedTime.parse(minAge).components.seconds
        let pruning = try LogPruning(repository, context, window: recoveryWindow)
        let outcome = try Collector(repository, options: options) { stage in
            if context.options.verbose { context.note(stage.rawValue) }
        }.run()
        for problem in outcome.problems { context.warn(problem) }
        if outcome.ranOutOfSpace {
            context.warn(
                "\(repository.store.location) is too full to copy what is needed out of packs with garbage; they stay. Run 'repo prune' again "
                    + "when there is room.")
        }
        ParityResult.warn(outcome.parity, context)
        if outcome.packsLeftArchived > 0 {
            context.note(
                "\(NumberText.counted(outcome.packsLeftArchived, "pack")) with more garbage than may stay, or with earlier keys, left alone in an archival tier")
        }
        let log = try pruning.run(isDryRun: isDryRun, without: gone)
        let locks = isDryRun ? nil : try LockExtension(repository).run(leaving: log.leaving)
        if context.options.json {
            try context.console.print(JSONOutput.line(PruneResult(outcome, log, locks, isDryRun: isDryRun)))
        } else if !context.options.quiet {
            if isDryRun || context.options.verbose {
                for pack in outcome.condemned {
                    try context.console.print(
                        "\(pack.object)  \(ByteCount.describe(pack.size))  \(pack.reason)")
                }
                for line in log.lines { try context.console.print(line) }
            }
            try context.console.print(PruneResult(outcome, log, locks, isDryRun: isDryRun).line)
            for line in LockReport.lines(outcome, log, locks, context.zone) { try context.console.print(line) }
            for writer in outcome.waitingFor { try context.console.print("waiting for \(writer)") }
        }
        if !outcome.problems.isEmpty { return RepoError.Code.damaged.exitStatus }
        return outcome.ranOutOfSpace ? RepoError.Code.storeFull.exitStatus : ExitStatus.done
    }

    private func share(_ text: String) throws(RepoError) -> Double {
        guard text.hasSuffix("%"), let percentage = Double(text.dropLast()), (0...100).contains(percentage)
        else {
            throw RepoError(.usage, "'\(text)' is not a percentage", advice: "Write it as --max-unused 5%.")
        }
        return percentage / 100
    }
}

private struct PruneResult: Encodable {
    let bytesFreed: UInt64
    let bytesRewritten: UInt64
    let bytesUnused: UInt64
    let packsDeleted: Int
    let packsCondemned: Int
    let packsRewritten: Int
    let packsWaiting: Int
    let blobsLive: Int
    let blobsDead: Int
    let segmentsMerged: Int
    let waitingFor: [String]
    let ranOutOfSpace: Bool?
    let problems: [String]
    /// Where some is kept.
    let parity: ParityResult?
    let logObjectsDeleted: Int
    let logSegmentsDeleted: Int
    let logBytesFreed: UInt64
    let packsLocked: Int?
    let bytesLocked: UInt64?
    let logObjectsLocked: Int?
    let lockedUntil: String?
    let locksKept: Int?
    let locksExtended: Int?
    let dryRun: Bool?

    init(_ outcome: CollectionOutcome, _ log: LogPruning.Outcome, _ locks: LockExtension.Outcome?, isDryRun: Bool) {
        packsLocked = locks.map { _ in outcome.packsLocked }
        bytesLocked = locks.map { _ in outcome.bytesLocked + log.locked.objects.reduce(0) { $0 + $1.size } }
        logObjectsLocked = locks.map { _ in log.locked.objects.count }
        lockedUntil = [outcome.lockedUntil, log.locked.until].compactMap { $0 }.max().map(TimeDisplay.utc(seconds:))
        locksKept = locks?.objects
        locksExtended = locks?.extended
        logObjectsDeleted = log.objects
        logSegmentsDeleted = log.segments
        logBytesFreed = log.bytes
        bytesFreed = outcome.bytesFreed
        bytesRewritten = outcome.bytesRewritten
        bytesUnused = outcome.bytesUnused
        packsDeleted = outcome.packsDeleted
        packsCondemned = outcome.packsCondemned
        packsRewritten = outcome.packsRewritten
        packsWaiting = outcome.packsWaiting
        blobsLive = outcome.blobsLive
        blobsDead = outcome.blobsDead
        segmentsMerged = outcome.segmentsMerged
        waitingFor = outcome.waitingFor.map(\.description)
        ranOutOfSpace = outcome.ranOutOfSpace ? true : nil
        problems = outcome.problems
        parity = outcome.parity.map { ParityResult($0) }
        dryRun = isDryRun ? true : nil
    }

    var line: String {
        let freed = ByteCount.describe(bytesFreed)
        let log = logObjectsDeleted == 0 ? "" : "; of the log \(NumberText.counted(logSegmentsDeleted, "segment")), \(ByteCount.describe(logBytesFreed))"
        if dryRun == true { return "dry run: \(NumberText.counted(packsCondemned, "pack")), \(freed), would be freed\(log)" }
        var text = "\(freed) freed: \(NumberText.counted(packsDeleted, "pack")) deleted, \(packsRewritten) rewritten"
        text += "; \(ByteCount.describe(bytesUnused)) stay unused"
        text += log
        if packsWaiting > 0 { text += "; \(NumberText.counted(packsWaiting, "pack waits", "packs wait")) for running snapshots" }
        return text
    }
}
