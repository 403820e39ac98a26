public import PostgresFormats
public import RepoBase
public import Repository
import WALArchive

/// The base backups of a source and the log that belongs to them: what recovery chooses from.
public struct ClusterHistory {
    /// A snapshot with its facts.
    public struct Candidate {
        public let entry: SnapshotCatalog.Entry
        public let facts: ClusterFacts

        /// Nil for snapshots that are no base backups. Throws `.damaged` for facts that do not read.
        public init?(_ entry: SnapshotCatalog.Entry) throws(RepoError) {
            guard entry.snapshot.kind == "postgres", !entry.snapshot.facts.isEmpty else { return nil }
            let facts = try ClusterFacts(entry.snapshot.facts, object: "snapshots/\(entry.id)")
            guard facts.method == .physical else { return nil }
            (self.entry, self.facts) = (entry, facts)
        }

        var backup: BaseBackup {
            BaseBackup(
                id: entry.id, time: entry.snapshot.time, facts: facts, bytes: entry.snapshot.statistics.logicalBytes)
        }
    }

    /// Snapshots of one source, oldest first, without base backups whose facts do not read: another one leads to the same moments. Each goes to `onProblem`.
    ///
    /// Throws `.damaged` where what is left does not end with a base backup: then nobody can tell what is meant.
    public static func readable(
        _ entries: [SnapshotCatalog.Entry], onProblem: (ObjectID, RepoError) -> Void
    ) throws(RepoError) -> [SnapshotCatalog.Entry] {
        var first: RepoError?
        var readable: [SnapshotCatalog.Entry] = []
        for entry in entries {
            do {
                _ = try Candidate(entry)
                readable.append(entry)
            } catch {
                first = first ?? error
                onProblem(entry.id, error)
            }
        }
        guard let first else { return readable }
        guard let last = readable.last, try Candidate(last) != nil else { throw first }
        return readable
    }

    private let repository: OpenRepository
    private let candidates: [Candidate]

    public init(_ repository: OpenRepository, _ candidates: [Candidate]) {
        self.repository = repository
        self.candidates = candidates
    }

    /// A plan with what carries it out.
    public struct Planned {
        public let plan: RecoveryPlan
        public let log: ArchiveLog
        public let candidate: Candidate
    }

    /// Plans in the newest cluster first. A source may have had several, one after the other: an upgrade and a new `initdb` make a new system
    /// identifier, and moments before are those of the old one.
    ///
    /// Throws as `RecoveryPlanner.plan` does; `.wrongKey` for a key that cannot read the log.
    public func plan(_ target: RecoveryTarget, timeline: TimelineChoice, excludesTarget: Bool) throws -> Planned {
        let newest = candidates.sorted { ($0.entry.snapshot.time, $0.entry.id) > ($1.entry.snapshot.time, $1.entry.id) }
        var systems: [UInt64] = []
        for candidate in newest where !systems.contains(candidate.facts.systemIdentifier) { systems.append(candidate.facts.systemIdentifier) }
        let archive = WALArchive(repository)
        var refusal: (any Error)?
        for system in systems {
            let own = newest.filter { $0.facts.systemIdentifier == system }
            let facts = own[0].facts
            let log = try ArchiveLog(
                archive, systemIdentifier: system, segmentSize: facts.segmentSize, majorVersion: Int(facts.serverVersion / 10_000))
            do {
                var plan = try RecoveryPlanner(log, backups: own.map(\.backup), excludesTarget: excludesTarget).plan(target, timeline: timeline)
                if system != systems[0] {
                    plan.notes.append("this is cluster \(system), which was followed by another one (\(systems[0])) in this source")
                }
                return Planned(plan: plan, log: log, candidate: own.first { $0.entry.id == plan.backup.id }!)
            } catch let error as RepoError where error.code == .timeNotRecoverable {
                guard refusal == nil else { continue }
                refusal = log.timelines.isEmpty ? Self.withoutLog(error, system, try archive.systems()) : error
            }
        }
        throw refusal ?? RepoError(.timeNotRecoverable, "there is no base backup that recovery could begin from")
    }

    /// The archive has nothing of the cluster: often it is the wrong repository, or another cluster's log.
    private static func withoutLog(_ error: RepoError, _ system: UInt64, _ others: [UInt64]) -> RepoError {
        let list = others.map(String.init).joined(separator: ", ")
        return RepoError(
            error.code, "\(error.message); the repository has no log of cluster \(system) at all",
            advice: (others.isEmpty ? "No log was ever archived here." : "It has that of \(list).")
                + " Is archive_command = 'repo wal push %p' set, with this repository? " + error.advice)
    }
}
