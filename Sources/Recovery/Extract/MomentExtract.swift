import Glibc
import Ingest
import PostgresClient
import PostgresFormats
import RepoBase

/// Brings tables back as they were at a moment: from a throwaway server that is recovered to it, and removed.
///
/// The dump of them is whole in the scratch folder before the target is touched, and is loaded in one transaction.
public struct MomentExtract {
    let server: ThrowawayServer
    let options: ExtractOptions
    let work: ExtractWork

    public init(_ server: ThrowawayServer, options: ExtractOptions, work: ExtractWork) { (self.server, self.options, self.work) = (server, options, work) }

    private var load: ArchiveLoad { ArchiveLoad(options: options, work: work) }
    private var sourceVersion: PostgresVersion { PostgresVersion(number: Int(server.plan.backup.facts.serverVersion)) }

    /// Looks at the target as far as it can be known before anything is recovered: whether it lets us in, and whether a table is in the way.
    ///
    /// Throws as `ArchiveLoad.prepare` does.
    public func checkTarget() throws {
        _ = try DumpTools(for: sourceVersion)
        guard case .server(let target) = options.destination else {
            if case .script(let path, let replaces) = options.destination { try ArchiveLoad.requireFree(path, replaces: replaces) }
            return
        }
        let database = target.database ?? options.database
        let there = try LoadTarget(database.map(target.database) ?? target, cancellation: work.cancellation)
        try load.requireVersion(there, source: sourceVersion.major)
        // In which database is not known.
        guard database != nil else { return }
        let wanted = options.tables.compactMap(\.exact).map { TableName(schema: $0.schema, name: options.newName ?? $0.name) }
        switch options.existing {
        case .refuse: try load.requireNone(wanted.filter(there.has).map { "table \($0)" }, there)
        case .drop: try load.requireNoDependents(wanted, there)
        case .append: try load.requireThere(wanted, there)
        }
    }

    /// Restores, recovers, dumps, loads. `server.check` comes first. The server is left for the caller to remove.
    ///
    /// - Parameters:
    ///   - moment: what is said of it: "at …".
    ///   - note: told what is being done.
    public func run(_ result: inout ExtractResult, moment: String, note: (String) -> Void = { _ in }) throws {
        note("restoring base backup \(server.plan.backup.id.short) into a folder of its own")
        _ = try result.timed("restore") { _ in try server.restore() }
        note("recovering \(moment)")
        _ = try result.timed("recovery") { _ in try server.start() }
        result.notes += server.notes
        guard let folder = server.folder else { return }
        let dump = try result.timed("dump") { result in
            result.database = try SourceTables(server: server).database(options, moment: moment)
            note("dumping from database \(result.database)")
            return try MomentDump(server, folder: folder, database: result.database, options: options, work: work).run(load, &result)
        }
        note("loading \(ArchiveLoad.list(result.tables.map(\.table.description))) into \(result.destination)")
        try result.timed("load") { result in
            if let script = dump.script {
                try load.run(script: script, dump.prepared)
            } else {
                try load.run(dump.prepared, archive: dump.archive, scratch: folder)
            }
        }
        try result.timed("count") { try load.count(dump.prepared, &$0.tables) }
    }
}
