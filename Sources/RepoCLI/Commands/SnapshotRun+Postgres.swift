import Ingest
import PostgresClient
import PostgresFormats
import RepoBase
import Repository
import Storage
import WALArchive

extension SnapshotRun {
    /// - Parameter describe: makes the description from the source's name, once that is known.
    func runPostgres(
        _ source: ConfiguredPostgres, name: String?, describe: (String) throws -> SourceDescription
    ) throws -> Int32 {
        let (target, options) = try source.validated { $0 }
        guard !source.isLogical else {
            let server = try DumpedServer(target)
            let dumps = DumpSource(try describe(name ?? server.name), server: server, options: source.dumpOptions)
            return try run(try describe(name ?? server.name)) { try dumps.run($0, onStart: $1) }
        }
        let cluster = try ClusterConnection(target)
        let description = try describe(name ?? cluster.name)
        if let why = cluster.withoutQuestions {
            context.note("\(description.name): names of databases will not be known, since no SQL can be asked: \(why)")
        }
        if !options.includesLog, let failed = cluster.archiverFailure() {
            context.warn(
                "the server's archive_command failed at '\(failed)' and has archived nothing since: see the server's log. "
                    + "Until it succeeds, this snapshot cannot be restored.")
        }
        // A server that archives has perhaps not archived anything yet; it will have by the end, since a backup ends with a switch of segments.
        let isToldAfter = cluster.isArchiving
        if !options.includesLog, !isToldAfter { try warnWithoutLog(cluster) }
        archiveHistory(cluster)
        let base = try BaseBackupSource(description, cluster: cluster, options: options)
        let status = try run(description) { repository, onStart in
            try base.run(repository, note: { context.note("\(description.name): \($0)") }, onStart: onStart)
        }
        if !options.includesLog, isToldAfter { try warnWithoutLog(cluster) }
        return status
    }

    /// A server that was promoted while it did not archive, as a restored one is, never archives the history of its timeline; then nobody could tell
    /// what came before. So it is archived now, beside the log that there is.
    private func archiveHistory(_ cluster: ClusterConnection) {
        let system = cluster.identity.systemIdentifier
        do {
            guard try holdsLog(of: system), let history = try cluster.history() else { return }
            let content = AlignedBuffer(capacity: history.content.count)
            content.base.copyMemory(from: history.content, byteCount: history.content.count)
            content.count = history.content.count
            try WALArchive(repository).store([WALFile(name: history.name, content: content, facts: nil)], system: system, segmentSize: nil)
        } catch {
            // The snapshot is good without; what stands in the way is told, above all another history under that name.
            context.warn("the history of timeline \(cluster.identity.timeline) cannot be archived: \(error)")
        }
    }

    /// A snapshot of files that were read while they changed is of no use without the log of that time.
    private func warnWithoutLog(_ cluster: ClusterConnection) throws {
        let system = cluster.identity.systemIdentifier
        if try holdsLog(of: system) { return }
        let isReceived = (try? cluster.streamingSlots().isEmpty) == false
        let archiver =
            cluster.isArchiving
            ? "The server archives its log, but to no place that this repository has received anything from"
            : isReceived
                ? "Somebody streams the server's log, but nothing of it has come here yet"
                : "The server does not archive its log (archive_mode is off)"
        context.warn(
            "the repository holds no log of this cluster, and this snapshot cannot be restored without it. \(archiver): "
                + "set archive_mode = on and archive_command = 'repo wal push %p', run 'repo wal receive', or take snapshots --with-wal.")
    }

    /// Whether the repository has any of the cluster's log; reads no more than the first name.
    private func holdsLog(of system: UInt64) throws -> Bool {
        struct Found: Error {}
        do {
            try repository.store.list("\(WALObjectName.prefix)\(system)/") { _ in throw Found() }
            return false
        } catch is Found {
            return true
        }
    }
}
