import Glibc
import RepoBase
public import Repository

/// A restore test of a snapshot's files: restored into a throwaway folder, read again and compared, removed.
public final class SnapshotDrill: Sendable {
    private let repository: OpenRepository
    private let entry: SnapshotCatalog.Entry
    private let scratch: String
    private let keeps: Bool
    private let isCancelled = Monitor(false)
    private let restorer = Monitor<Restorer?>(nil)
    private let removed: [String]

    /// Looks at the scratch folder and its room, and removes what killed runs have left there. Throws `.usage` or `.storeFull`.
    public init(_ repository: OpenRepository, _ entry: SnapshotCatalog.Entry, scratch: String, keeps: Bool) throws {
        (self.repository, self.entry, self.scratch, self.keeps) = (repository, entry, scratch, keeps)
        try ThrowawayFolder.requirePlace(scratch)
        removed = try ThrowawayFolder.removeLeftovers(in: scratch)
        try ThrowawayFolder.requireRoom(scratch, entry.snapshot.statistics.logicalBytes, "the snapshot")
    }

    public func cancel() { isCancelled.withLock { $0 = true } }

    /// May be asked by any thread while it runs.
    public var progress: RestoreProgress { restorer.withLock { $0 }?.progress ?? RestoreProgress() }

    /// Completes the report. Throws only what is no finding.
    public func run(_ report: inout DrillReport) throws {
        let folder = try ThrowawayFolder(in: scratch)
        do {
            try restore(folder, &report)
        } catch {
            try? folder.remove()
            throw isCancelled.withLock { $0 } ? RepoError(.interrupted, "interrupted") : error
        }
        for path in removed { report.notes.append("removed what a killed run had left: \(path)") }
        do {
            if keeps {
                try folder.keep()
                report.kept = folder.path
            }
            try folder.remove()
        } catch {
            report.notes.append("\(error.message). \(error.advice)")
        }
    }

    private func restore(_ folder: ThrowawayFolder, _ report: inout DrillReport) throws {
        // The folder itself lets others pass through.
        let inner = folder.path + "/restored"
        guard mkdir(inner, 0o700) == 0 else { throw TextFile.failure("make", inner) }
        var options = RestoreOptions()
        options.verifies = true
        options.synchronises = false
        let restorer = Restorer(repository, root: entry.snapshot.root, target: Array("\(inner)/tree".utf8), options: options)
        self.restorer.withLock { $0 = restorer }
        let clock = ContinuousClock()
        let begun = clock.now
        let result: RestoreResult
        do {
            result = try restorer.run { [isCancelled] _, _ in
                if isCancelled.withLock({ $0 }) { throw RepoError(.interrupted, "interrupted") }
            }
        } catch let error as RepoError where error.code == .damaged {
            report.record(error)
            return
        }
        report.phases.restore = DrillReport.rounded(clock.now - begun)
        report.secondsToRecovery = report.phases.restore
        (report.files, report.bytes) = (result.counts.filesDone, result.counts.bytesDone)
        let text = { (problem: RestoreProblem) in "\(String(decoding: problem.path, as: UTF8.self)): \(problem.message)" }
        // Owners and the like that this user may not give are no finding about the backup.
        let damage = result.problems.filter { $0.kind != .metadata }
        for problem in result.problems where problem.kind == .metadata && report.notes.count < DrillReport.Check.findingLimit {
            report.notes.append(text(problem))
        }
        report.add(
            .init("files", damage.isEmpty ? .passed : .failed, "\(result.counts.filesDone) files read again and compared", findings: damage.map(text)))
        if damage.contains(where: { $0.kind == .damage }) { report.outcome = .damaged }
    }
}
