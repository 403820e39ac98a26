import ArgumentParser
import Ingest
import RepoBase
import Repository
import Storage
import WALArchive

struct CheckCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Verify that everything the snapshots need is there, and that it reads.",
        discussion: """
            Without options the structure: that every blob is indexed and every pack is there. --read-data opens \
            everything and recomputes every id. Damage is named with the snapshots and paths that it hurts; the exit \
            status is then 12. What this machine has seen in the repository and is gone, without a record of it, is damage, too. --heal-from brings it back from a copy of the repository, --heal from those that are configured; then \
            everything is checked again.

            Examples:
              repo check
              repo check --read-data
              repo check --read-data-subset 1/7
              repo check --read-data-subset 5%
              repo check --read-data --heal-from s3://offsite/backup
            """)

    @Flag(help: "Read everything.") var readData = false
    @Option(
        help: ArgumentHelp(
            "Read a part: N/M, a percentage, or a size; what was not verified for longest comes first.",
            valueName: "part"))
    var readDataSubset: String?
    @Flag(help: "Read packs in archival tiers as well, where they were brought back; they are left out otherwise.") var readArchived = false
    @Option(help: ArgumentHelp("Only what the snapshots of this source need.", valueName: "name")) var source:
        String?
    @OptionGroup(title: "Healing") var healing: HealingArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if readData, readDataSubset != nil {
            throw ValidationError("--read-data and --read-data-subset exclude each other.")
        }
        if readArchived, !readData, readDataSubset == nil { throw ValidationError("--read-archived goes with --read-data.") }
    }

    func run(_ context: CommandContext) throws -> Int32 {
        var options = RepositoryCheck.Options()
        options.data = try readDataSubset.map { try DataSubset(parsing: $0) } ?? (readData ? .all : nil)
        options.source = source
        options.readsArchived = readArchived
        let repository = try context.openRepositoryPastCopies()
        let progress = CheckProgress()
        func check() throws -> CheckReport {
            var report = try RepositoryCheck(repository, options: options, progress: progress).run()
            report.add(
                try LogCheck(WALArchive(repository), data: options.data, source: source, progress: progress).run())
            return report
        }
        var report = try ProgressDisplay.during(context, "check", { .init(progress.values) }, check)
        for copy in report.isClean ? [] : try healing.copies(context) where !report.isClean {
            try healing.attempt(context) { try healing.heal(repository, from: copy, report, context) }
            report = try check()
        }
        record(report, isWhole: options.isWhole, repository, context)
        if context.options.json {
            try context.console.print(JSONOutput.pretty(CheckResult(report)))
        } else {
            for damage in report.errors { try show(damage, context.console) }
            if report.errors.contains(where: { $0.kind == .log && $0.problem.hasPrefix("it is missing") == false }) {
                context.note("'repo repair wal' moves damaged files of the log aside, so that they can be pushed again.")
            }
            if report.hasFinishedKeyChange {
                context.note("config was older than the last change of keys, which was interrupted, or an old copy was put back; it is up to date again")
            }
            for gap in report.logGaps {
                context.warn(
                    "cluster \(gap.system), timeline \(gap.timeline): \(gap.segments) missing from the log: \(gap.cause). Moments behind it need a newer base backup; "
                        + "'repo wal status' shows what can be reached.")
            }
            for line in Self.parity(of: report) { context.note(line) }
            if !report.unindexedPacks.isEmpty {
                context.note("\(NumberText.counted(report.unindexedPacks.count, "pack is", "packs are")) not in the index: \(Self.origin(of: report))")
            }
            if report.archivedPacks > 0 {
                context.note(
                    "\(NumberText.counted(report.archivedPacks, "pack")), \(ByteCount.describe(report.archivedBytes)), in an archival tier: not read"
                        + (readArchived ? "" : "; --read-archived reads those that were brought back"))
            }
            if report.halfVerifiedPacks > 0 {
                context.note("\(NumberText.counted(report.halfVerifiedPacks, "pack was", "packs were")) not verified in whole: deltas there rest on what is archived")
            }
            if !context.options.quiet {
                var line =
                    "\(NumberText.counted(report.objects, "object")), \(NumberText.counted(report.blobs, "blob"))"
                if options.data != nil { line += ", \(ByteCount.describe(report.bytesRead)) read" }
                line += report.isClean ? ": no errors" : ": \(report.errors.count) damaged"
                try context.console.print(line)
            }
        }
        return report.isClean ? ExitStatus.done : RepoError.Code.damaged.exitStatus
    }

    /// The journal tells other machines what was verified, for whoever counts copies, and that something is damaged.
    private func record(_ report: CheckReport, isWhole: Bool, _ repository: OpenRepository, _ context: CommandContext) {
        guard !repository.store.isReadOnly, !report.isClean || (isWhole && report.coverage != nil) else { return }
        do {
            try CheckRecord(report.coverage ?? VerificationCoverage(), damaged: UInt64(report.errors.count)).append(to: repository)
        } catch {
            // A key or a disk that lets nobody write lets check all the same.
            context.note("that this was checked could not be written down: \((error as? RepoError)?.message ?? "\(error)")")
        }
    }

    /// What parity can do, and what is to be done about damage to parity itself.
    private static func parity(of report: CheckReport) -> [String] {
        guard let parity = report.parity else { return [] }
        var lines: [String] = []
        let packs = parity.healable.count { $0.hasPrefix(PackObject.prefix) }
        if !parity.beyond.isEmpty {
            lines.append("parity can make \(packs) of \(packs + parity.beyond.count) damaged packs whole; the damage exceeds what it protects against:")
            lines += parity.beyond.sorted { $0.key < $1.key }.prefix(8).map { "  \($0.key): \($0.value)" }
            lines.append("'repo repair packs' heals what it can and salvages what reads of the rest.")
        } else if packs > 0 {
            lines.append("parity can make \(packs == 1 ? "the damaged pack" : "all \(packs) damaged packs") whole: run 'repo repair packs'.")
        }
        if packs < parity.healable.count { lines.append("damaged snapshots have a second copy: run 'repo repair snapshots'.") }
        if !parity.damages.isEmpty { lines.append("damaged parity is made anew by 'repo parity update --read-data', once the packs are whole.") }
        return lines
    }

    /// What packs without an index are, as far as one can tell.
    private static func origin(of report: CheckReport) -> String {
        report.lacksIndex
            ? "what is missing may be in them. Run 'repo repair index', which finds it again."
            : "of a snapshot under way, or of one that was interrupted; the next snapshot uses them, or a later prune removes them."
    }

    private func show(_ damage: Damage, _ console: Console) throws {
        try console.print("damaged: \(damage.object): \(damage.problem)")
        if !damage.snapshots.isEmpty {
            try console.print("  snapshots: \(damage.snapshots.map(\.short).joined(separator: " "))")
        }
        for path in damage.paths { try console.print("  \(RawPath.describe(path))") }
    }
}

extension ProgressSample {
    init(_ values: CheckProgress.Values) {
        if values.bytesToRead > 0 {
            self.init(done: values.bytesRead, total: values.bytesToRead)
        } else {
            self.init(done: values.blobsWalked, unit: "blobs")
        }
    }
}

private struct CheckResult: Encodable {
    struct Failure: Encodable {
        let object: String
        let kind: String
        let problem: String
        let snapshots: [String]
        let paths: [String]
    }

    let objects: UInt64
    let blobs: UInt64
    let bytesRead: UInt64
    let errors: [Failure]
    /// True where `config` was behind a change of keys that was interrupted; else absent.
    let keyChangeFinished: Bool?
    let logGaps: [LogGap]
    let unindexedPacks: [String]
    let verifiedPacks: UInt64
    let archivedPacks: UInt64?
    let archivedBytes: UInt64?
    let parity: Parity?

    struct LogGap: Encodable {
        let cluster: String
        let timeline: UInt32
        let segments: String
        let cause: String
    }

    /// Objects that parity makes whole, and those that are damaged beyond it.
    struct Parity: Encodable {
        let healable: [String]
        let beyond: [String: String]
    }

    init(_ report: CheckReport) {
        parity = report.parity.map { Parity(healable: $0.healable, beyond: $0.beyond) }
        objects = report.objects
        blobs = report.blobs
        bytesRead = report.bytesRead
        errors = report.errors.map { damage in
            Failure(
                object: damage.object, kind: damage.kind.rawValue, problem: damage.problem,
                snapshots: damage.snapshots.map { "\($0)" }, paths: damage.paths.map { RawPath.describe($0) })
        }
        keyChangeFinished = report.hasFinishedKeyChange ? true : nil
        logGaps = report.logGaps.map { LogGap(cluster: "\($0.system)", timeline: $0.timeline, segments: $0.segments, cause: $0.cause) }
        unindexedPacks = report.unindexedPacks.map { "\($0)" }
        verifiedPacks = report.verifiedPacks
        archivedPacks = report.archivedPacks > 0 ? report.archivedPacks : nil
        archivedBytes = report.archivedPacks > 0 ? report.archivedBytes : nil
    }
}
