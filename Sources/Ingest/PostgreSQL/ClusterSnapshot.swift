import PostgresFormats
import RepoBase
import Repository

/// What both kinds of snapshots of PostgreSQL, of files and of dumps, have in common.
struct ClusterSnapshot {
    let description: SourceDescription
    let parent: SnapshotCatalog.Entry?
    /// By this machine's clock.
    let started: FileTime

    /// The latest of the same source and host is what the new one is compared with.
    init(_ description: SourceDescription, in repository: OpenRepository) throws {
        self.description = description
        parent = try SnapshotCatalog(repository).latest(source: description.name, host: description.host)
        started = .now()
    }

    /// Makes it by `body`, which ends with `commit`. When that throws, nothing is left of it.
    func make(
        in repository: OpenRepository, onStart: (SnapshotWriter) -> Void, _ body: (SnapshotWriter) throws -> SourceOutcome
    ) throws -> SourceOutcome {
        let writer = try SnapshotWriter(repository, options: description.options, following: parent?.snapshot)
        onStart(writer)
        do {
            return try body(writer)
        } catch {
            writer.abandon()
            throw writer.interruption ?? error
        }
    }

    /// - Parameters:
    ///   - time: of the snapshot, unless the description has one.
    ///   - findProblems: asked when everything has been read and verified; corrects the count of errors.
    func commit(
        _ writer: SnapshotWriter, _ facts: ClusterFacts, time: FileTime,
        findProblems: (inout SnapshotStatistics) -> [SourceProblem]
    ) throws -> SourceOutcome {
        var problems: [SourceProblem] = []
        let result = try writer.commit { root, statistics in
            var statistics = statistics
            problems = findProblems(&statistics)
            var snapshot = Snapshot(
                describing: description, kind: ClusterFacts.snapshotKind, time: description.time ?? time, root: root,
                statistics: statistics, parent: parent?.id)
            snapshot.problems = problems.prefix(Snapshot.problemLimit).map { .init(path: $0.path, message: $0.message) }
            snapshot.started = started
            snapshot.facts = facts.encoded()
            return snapshot
        }
        return SourceOutcome(id: result.id, snapshot: result.snapshot, problems: problems)
    }
}
