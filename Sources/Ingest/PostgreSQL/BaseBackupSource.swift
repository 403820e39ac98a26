public import PostgresClient
public import PostgresFormats
public import RepoBase
public import Repository

/// A snapshot of a whole cluster, file by file, over the replication protocol (BASE_BACKUP). Needs no access to the server's files and no
/// space of its own: archives are taken apart as they come.
///
/// What the server's manifest says is compared with what came, and page checksums are verified where the cluster has them. A cluster that is
/// promoted, restarted or lost in the middle leaves no snapshot.
public struct BaseBackupSource {
    private let description: SourceDescription
    private let cluster: ClusterConnection
    private let options: BaseBackupOptions

    public init(_ description: SourceDescription, cluster: ClusterConnection, options: BaseBackupOptions) throws(RepoError) {
        try options.validate()
        self.description = description
        self.cluster = cluster
        self.options = options
    }

    /// - Parameter note: told what is going on that takes long and shows no progress, for people.
    public func run(
        _ repository: OpenRepository, note: (String) -> Void = { _ in }, onStart: (SnapshotWriter) -> Void = { _ in }
    ) throws -> SourceOutcome {
        let making = try ClusterSnapshot(description, in: repository)
        let before = making.parent.flatMap { $0.snapshot.kind == ClusterFacts.snapshotKind ? $0.snapshot.root : nil }
        let startTime = cluster.now()
        let keeper = options.includesLog ? try LogKeeper(cluster) : nil
        note(options.checkpoint == .fast ? "waiting for the server's checkpoint" : "waiting for the server's checkpoint, spread over time")
        let stream = try cluster.replication.startBaseBackup(options)
        guard stream.start.timeline == cluster.identity.timeline else { throw Self.otherTimeline(stream.start.timeline, cluster) }
        return try making.make(in: repository, onStart: onStart) { writer in
            let expected = stream.tablespaces.reduce(0) { $0 + $1.bytes }
            writer.count { $0.expectedBytes = expected }
            let pages = cluster.hasChecksums ? PageFindings(start: stream.start.position, blockSize: cluster.blockSize) : nil
            var receipt = BackupReceipt(writer, parent: before, pages: pages)
            try receipt.receive(stream)
            let end = try stream.finish()
            guard end.stop.timeline == stream.start.timeline else { throw Self.otherTimeline(end.stop.timeline, cluster) }
            withExtendedLifetime(keeper) {}
            let table = try receipt.settle(
                stream, permissions: cluster.directoryPermissions, time: startTime, systemIdentifier: cluster.identity.systemIdentifier)
            let label = try receipt.label()
            guard label.start == stream.start.position, label.startTimeline == stream.start.timeline else {
                throw RepoError(.sourceFailed, "the server's backup_label is of another backup", advice: "No snapshot was made. Run it again.")
            }
            if options.includesLog {
                try LogPresence.require(
                    in: table, from: stream.start, to: end.stop, segmentSize: cluster.segmentSize)
            }
            var tree = BackupTree(writer, table)
            try tree.write(root: receipt.root(cluster.directoryPermissions, time: startTime))
            let facts = facts(stream, end.stop, label, receipt.databaseBytes, startTime: startTime)
            let warnings = cluster.replication.takeNotices().filter { $0.severity == "WARNING" }.map(\.message)
            return try making.commit(writer, facts, time: startTime) { statistics in
                // Every chunk has been looked at by now.
                let damage = pages.map { DamagedPages($0, stop: end.stop.position, cluster) }
                var problems = damage?.problems ?? []
                if end.hasDamagedPages, problems.isEmpty { problems = warnings.map { SourceProblem(path: [], message: $0) } }
                statistics.errors = max(damage?.count ?? 0, UInt64(problems.count))
                return problems
            }
        }
    }

    private func facts(
        _ stream: BaseBackupStream, _ stop: BackupPosition, _ label: BackupLabel, _ databaseBytes: [UInt32: UInt64], startTime: FileTime
    ) -> ClusterFacts {
        var facts = ClusterFacts(
            method: .physical, systemIdentifier: cluster.identity.systemIdentifier, serverVersion: UInt32(cluster.version.number),
            startTime: startTime, stopTime: cluster.now())
        facts.timeline = stop.timeline
        (facts.start, facts.stop) = (stream.start.position, stop.position)
        (facts.segmentSize, facts.blockSize) = (cluster.segmentSize, cluster.blockSize)
        facts.hasChecksums = cluster.hasChecksums
        facts.isFromStandby = label.isFromStandby
        facts.includesLog = options.includesLog
        facts.tablespaces = stream.tablespaces.compactMap { space in
            space.oid.map { ClusterFacts.Tablespace(oid: $0, location: space.location) }
        }
        facts.settings = cluster.settings
        facts.label = options.label
        let names = cluster.databaseNames() ?? [:]
        facts.databases = databaseBytes.sorted { $0.key < $1.key }.compactMap { oid, bytes in
            names[oid].map { ClusterFacts.Database(name: $0, bytes: bytes) }
        }
        return facts
    }

    private static func otherTimeline(_ timeline: UInt32, _ cluster: ClusterConnection) -> RepoError {
        RepoError(
            .sourceFailed,
            "the cluster at \(cluster.target) changed from timeline \(cluster.identity.timeline) to \(timeline) during the backup: it was promoted",
            advice: "No snapshot was made. Run it again.")
    }
}

extension ClusterFacts {
    /// `Snapshot.kind` of snapshots with such facts.
    public static let snapshotKind = "postgres"
}
