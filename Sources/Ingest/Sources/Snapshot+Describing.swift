import RepoBase
import Repository

extension Snapshot {
    /// What all sources record in the same way.
    init(
        describing source: SourceDescription, kind: String, time: FileTime, root: BlobID,
        statistics: SnapshotStatistics, parent: ObjectID?
    ) {
        self.init(time: time, source: source.name, kind: kind, root: root)
        host = source.host
        user = source.user
        tags = source.tags
        self.statistics = statistics
        self.parent = parent
        programVersion = ProgramVersion.current
    }
}
