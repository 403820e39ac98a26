import Foundation
import Ingest
import PostgresFormats
import Recovery
import RepoBase
import Repository
import Storage

/// `repo drill` of a source.
struct DrillRun {
    let context: CommandContext
    let arguments: DrillCommand

    func run() throws -> Int32 {
        let started = FileTime.now()
        let options = try options()
        let repository = try context.openRepositoryForReading()
        guard !repository.store.isReadOnly else {
            throw RepoError(
                .refused, "\(repository.store.location) is the past, where no report of a test can be stored", advice: "Use 'repo restore' to see what is in it.")
        }
        let (entries, candidates) = try choose(repository)
        let source = entries[entries.count - 1].snapshot.source
        let isCluster = !candidates.isEmpty
        let stamp = JournalStamp.now()
        var report = DrillReport(
            time: TimeDisplay.utc(started), source: source, kind: isCluster ? "postgres" : Self.kind(entries[entries.count - 1].snapshot), asked: asked, host: stamp.host,
            user: stamp.user, programVersion: ProgramVersion.current)
        let clock = ContinuousClock()
        let begun = clock.now
        if isCluster {
            try drill(candidates, entries, repository, options, &report)
        } else {
            try requireFiles(source, dumps: report.kind == Self.dumps)
            try drill(entries, repository, &report)
        }
        report.phases.total = Self.rounded(clock.now - begun)
        return try finish(report, started, repository)
    }

    /// A snapshot of kind `postgres` that is no base backup holds dumps.
    private static func kind(_ snapshot: Snapshot) -> String { snapshot.kind == "postgres" ? dumps : snapshot.kind }
    private static let dumps = "dumps"

    private static func rounded(_ duration: Duration) -> Double { ((duration / .seconds(1)) * 1000).rounded() / 1000 }

    private var asked: String {
        if arguments.random { return "random" }
        if let at = arguments.at { return at }
        return arguments.snapshot ?? "latest"
    }

    // MARK: - What is tested

    /// The snapshots of the source that is meant, oldest first, and its base backups where it is a cluster.
    private func choose(_ repository: OpenRepository) throws -> (entries: [SnapshotCatalog.Entry], candidates: [ClusterHistory.Candidate]) {
        let catalog = SnapshotCatalog(repository)
        if let name = arguments.snapshot {
            guard arguments.source == nil else {
                throw RepoError(.usage, "a snapshot was named, and --source as well", advice: "Give the one or the other.")
            }
            let entry = try catalog.find(name)
            return ([entry], try ClusterHistory.Candidate(entry).map { [$0] } ?? [])
        }
        var unreadable = UnreadableSnapshots()
        func pass(_ id: ObjectID, _ error: RepoError) {
            context.warn(error.message)
            unreadable.add(id, error)
        }
        let own = try catalog.all(onProblem: pass).filter { arguments.source == nil || $0.snapshot.source == arguments.source }
        let entries = try ClusterHistory.readable(own, onProblem: pass)
        let sources = Set(entries.map(\.snapshot.source)).sorted()
        guard let newest = entries.last else {
            try unreadable.requireNone(besides: nil)
            throw RepoError(
                .notFound, arguments.source.map { "there is no snapshot of source '\($0)'" } ?? "there is no snapshot yet",
                advice: "'repo snapshots' lists what there is.")
        }
        guard sources.count == 1 else {
            throw RepoError(
                .usage, "there are snapshots of \(sources.count) sources, and none was chosen",
                advice: "Name one with --source: \(sources.map(TextDisplay.oneLine).joined(separator: ", ")).")
        }
        // A source may hold dumps as well: the newest snapshot tells what it is now.
        guard try ClusterHistory.Candidate(newest) != nil else {
            // Of a cluster another base backup and the log lead to the same moment.
            try unreadable.requireNone(besides: newest)
            return (entries, [])
        }
        return (entries, try entries.compactMap { try ClusterHistory.Candidate($0) })
    }

    /// Options that mean a server are refused where there is none.
    private func requireFiles(_ source: String, dumps: Bool) throws(RepoError) {
        let misplaced = [
            ("--assert", !arguments.assertions.isEmpty), ("--sql-file", !arguments.files.isEmpty), ("--database", arguments.database != nil),
            ("--timeline", arguments.timeline != nil), ("--heapallindexed", arguments.rowsInIndexes), ("--no-amcheck", !arguments.amcheck),
            ("--no-checksums", !arguments.checksums), ("--postgres-bin", arguments.postgresBin != nil && !dumps), ("--superuser", arguments.superuser != nil),
        ].first(where: \.1)
        guard let misplaced else { return }
        throw RepoError(.usage, "\(misplaced.0) is for base backups of PostgreSQL, and '\(source)' has none", advice: "'repo snapshots' tells the kind of each.")
    }

    private func options() throws -> DrillOptions {
        var options = DrillOptions()
        options.assertions = arguments.assertions.map { DrillAssertion(name: $0, script: $0) }
        for file in arguments.files {
            guard let data = FileManager.default.contents(atPath: file), let script = String(data: data, encoding: .utf8) else {
                throw RepoError(.usage, "'\(file)' cannot be read as a file of SQL", advice: "It has to exist, and to be UTF-8.")
            }
            options.assertions.append(DrillAssertion(name: file, script: script))
        }
        options.database = arguments.database
        options.checksStructure = arguments.amcheck
        options.checksRowsInIndexes = arguments.rowsInIndexes
        options.verifiesChecksums = arguments.checksums
        options.keeps = arguments.keep
        options.jobs = min(8, availableProcessors())
        return options
    }

    private func scratch() throws -> String {
        try LogAccess.absolute(arguments.scratch ?? context.console.variable("TMPDIR") ?? ThrowawayOptions.defaultScratch)
    }

    // MARK: - A cluster

    private func drill(
        _ candidates: [ClusterHistory.Candidate], _ entries: [SnapshotCatalog.Entry], _ repository: OpenRepository, _ options: DrillOptions,
        _ report: inout DrillReport
    ) throws {
        var throwaway = ThrowawayOptions(scratch: try scratch())
        throwaway.programs = arguments.postgresBin
        throwaway.user = arguments.superuser
        // As a real server would: the time to recovery is to be a real one.
        throwaway.isDurable = true
        guard let bytes = ByteCount.parse(arguments.buffers), bytes >= 1 << 20 else {
            throw RepoError(.usage, "--buffers is a size as in 128M, not '\(arguments.buffers)'")
        }
        throwaway.bufferBytes = bytes
        let clock = ContinuousClock()
        let begun = clock.now
        let planned: ClusterHistory.Planned
        var moment: FileTime?
        do {
            let (target, choice) = try target(candidates, repository)
            if case .time(let time) = target { moment = time }
            report.moment = moment.map(TimeDisplay.utc)
            planned = try ClusterHistory(repository, candidates).plan(target, timeline: choice, excludesTarget: false)
        } catch let error as RepoError where error.code == .timeNotRecoverable || error.code == .damaged {
            report.record(error)
            report.phases.plan = Self.rounded(clock.now - begun)
            return
        }
        report.phases.plan = Self.rounded(clock.now - begun)
        report.add(planned.plan)
        if context.options.verbose { for line in RecoveryPlanText.lines(planned.plan) { context.note(line) } }
        let access = try LogAccess(context, systemIdentifier: planned.plan.backup.facts.systemIdentifier)
        let recorded = RecordedRows(
            try arguments.snapshot == nil ? allSnapshots(repository) : entries, system: planned.plan.backup.facts.systemIdentifier, upTo: moment)
        let drill = try Drill(
            repository, planned, restoreCommand: access.command, options: options, recorded: recorded, throwaway: throwaway)
        let phase = Monitor(Drill.Phase.check)
        let total = planned.plan.backup.bytes
        try Interruption.during({
            drill.cancel()
            // The run ends by itself, soon, and removes what it made.
            return false
        }) {
            try ProgressDisplay.during(
                context, "drill",
                {
                    let progress = drill.server.progress
                    switch phase.withLock({ $0 }) {
                    case .check: return ProgressSample(done: UInt64(progress.logChecked.done), total: UInt64(progress.logChecked.total), unit: "segments")
                    default: return ProgressSample(done: progress.restore.bytesDone, total: total)
                    }
                }
            ) {
                try drill.run(&report) { now in
                    phase.withLock { $0 = now }
                    if context.options.verbose { context.note(now.rawValue) }
                }
            }
        }
    }

    /// Dumps of the same cluster may stand under another name.
    private func allSnapshots(_ repository: OpenRepository) throws -> [SnapshotCatalog.Entry] { try SnapshotCatalog(repository).all { _, _ in } }

    private func target(_ candidates: [ClusterHistory.Candidate], _ repository: OpenRepository) throws -> (RecoveryTarget, TimelineChoice) {
        var choice = TimelineChoice.latest
        switch arguments.timeline {
        case nil, "latest": break
        case "current": choice = .ofBackup
        case .some(let text):
            guard let number = UInt32(text), number > 0 else {
                throw RepoError(.usage, "'\(text)' is no timeline", advice: "Use 'latest', 'current', or a number from 1 on.")
            }
            choice = .number(number)
        }
        if let at = arguments.at { return (.time(try context.moment(at)), choice) }
        guard arguments.random else { return (.latest, choice) }
        var only: UInt32?
        if case .number(let number) = choice { only = number }
        var numbers = SystemRandomNumberGenerator()
        let random = try RandomMoment(repository, candidates, timeline: only, using: &numbers)
        return (.time(random.time), .number(random.timeline))
    }

    // MARK: - Files

    private func drill(_ entries: [SnapshotCatalog.Entry], _ repository: OpenRepository, _ report: inout DrillReport) throws {
        let entry: SnapshotCatalog.Entry
        do {
            entry =
                try arguments.random
                ? entries.randomElement()!
                : SnapshotChoice.find(
                    arguments.snapshot, source: arguments.snapshot == nil ? report.source : nil, at: arguments.at, SnapshotCatalog(repository), context)
        } catch let error as RepoError where error.code == .timeNotRecoverable {
            report.record(error)
            return
        }
        (report.snapshotId, report.snapshotTime, report.moment) = ("\(entry.id)", TimeDisplay.utc(entry.snapshot.time), TimeDisplay.utc(entry.snapshot.time))
        let drill = try SnapshotDrill(repository, entry, scratch: scratch(), keeps: arguments.keep)
        try Interruption.during({
            drill.cancel()
            return false
        }) {
            try ProgressDisplay.during(
                context, "drill", { ProgressSample(done: drill.progress.bytesDone, total: drill.progress.isWriting ? drill.progress.bytesTotal : nil) }
            ) { try drill.run(&report) }
        }
        guard report.kind == Self.dumps, report.outcome == .passed else { return }
        let work = try ExtractWork()
        let load = try DumpDrill(repository, entry, scratch: scratch(), programs: arguments.postgresBin, work: work)
        try Interruption.during({
            work.cancel()
            return false
        }) { try load.run(&report) }
    }

    // MARK: - The report

    private func finish(_ report: DrillReport, _ started: FileTime, _ repository: OpenRepository) throws -> Int32 {
        var id: ObjectID?
        do {
            id = try Reports(repository).add(
                Report(time: started, source: report.source, outcome: report.outcome.exitStatus, text: JSONOutput.line(report)))
        } catch let error as RepoError {
            // What was found counts more than that it is kept.
            context.warn("the report could not be kept in the repository: \(error.message)")
        }
        if context.options.json {
            try context.console.print(JSONOutput.line(DrillResult(id: id.map { "\($0)" }, report: report)))
        } else if !context.options.quiet || report.outcome != .passed {
            for line in DrillText.lines(report, id: id) { try context.console.print(line) }
        }
        let status = report.outcome.exitStatus
        return status == 0 && id == nil ? RepoError.Code.failed.exitStatus : status
    }
}
