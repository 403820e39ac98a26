import Ingest
import PostgresClient
import RepoBase

/// A PostgreSQL source, from the command line or the configuration.
struct ConfiguredPostgres: Equatable {
    var dsn: String
    var isLogical = false
    var includesLog = false
    var checkpoint: String?
    var maximumRate: String?
    var label: String?
    var databases: [String] = []
    var excludedDatabases: [String] = []
    var schemas: [String] = []
    var excludedSchemas: [String] = []
    var tables: [String] = []
    var excludedTables: [String] = []
    var countsRows = false

    init(dsn: String) { self.dsn = dsn }

    /// Throws `.usage` for what does not go together or is not understood. `option` gives a key the form in which people wrote it.
    func validated(_ option: (String) -> String) throws(RepoError) -> (target: ConnectionTarget, options: BaseBackupOptions) {
        let target = try ConnectionTarget(dsn)
        let physical = [
            ("with-wal", includesLog), ("checkpoint", checkpoint != nil), ("max-rate", maximumRate != nil), ("label", label != nil),
        ]
        let dumps = [
            ("database", !databases.isEmpty), ("exclude-database", !excludedDatabases.isEmpty), ("schema", !schemas.isEmpty),
            ("exclude-schema", !excludedSchemas.isEmpty), ("table", !tables.isEmpty), ("exclude-table", !excludedTables.isEmpty),
            ("row-counts", countsRows),
        ]
        if let misplaced = (isLogical ? physical : dumps).first(where: \.1) {
            throw RepoError(
                .usage, "\(option(misplaced.0)) is for \(isLogical ? "backups of a cluster's files" : "dumps")",
                advice: isLogical ? "Leave it out, or \(option("logical"))." : "Leave it out, or add \(option("logical")).")
        }
        var options = BaseBackupOptions()
        options.includesLog = includesLog
        if let checkpoint {
            guard let kind = BaseBackupOptions.Checkpoint(rawValue: checkpoint) else {
                throw RepoError(.usage, "\(option("checkpoint")) is 'fast' or 'spread', not '\(checkpoint)'")
            }
            options.checkpoint = kind
        }
        if let maximumRate {
            guard let rate = ByteCount.parse(maximumRate) else {
                throw RepoError(.usage, "\(option("max-rate")) is a size as in 50M, not '\(maximumRate)'")
            }
            options.maximumRate = rate
        }
        if let label { options.label = label }
        try options.validate()
        return (target, options)
    }

    var dumpOptions: DumpOptions {
        var options = DumpOptions()
        (options.databases, options.excludedDatabases) = (databases, excludedDatabases)
        (options.schemas, options.excludedSchemas) = (schemas, excludedSchemas)
        (options.tables, options.excludedTables) = (tables, excludedTables)
        options.countsRows = countsRows
        return options
    }
}
