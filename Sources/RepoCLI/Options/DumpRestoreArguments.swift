import ArgumentParser
import PostgresClient
import Recovery
import RepoBase
import Repository

/// Options of `repo restore` for snapshots of dumps.
struct DumpRestoreArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp("Restore dumps of databases into this running server, as libpq takes it.", valueName: "dsn"))
    var to: String?
    @Option(
        name: .customLong("database"),
        help: ArgumentHelp("With --to: only databases whose names match; may be repeated. With --table: the one that it is in.", valueName: "pattern"))
    var databases: [String] = []
    @Option(help: ArgumentHelp("With --to: the name of the database to restore into, where one is restored.", valueName: "name"))
    var into: String?
    @Flag(help: "With --to: roles and tablespaces too; those that exist are left as they are.")
    var globals = false

    /// Throws where options stand without the one that they belong to.
    func requireTarget() throws {
        guard to == nil else { return }
        let misplaced = [("--database", !databases.isEmpty), ("--into", into != nil), ("--globals", globals)].first(where: \.1)
        if let misplaced { throw ValidationError("\(misplaced.0) goes with --to.") }
    }

    var misplacedForTables: [(String, Bool)] { [("--into", into != nil), ("--globals", globals)] }

    /// Restores dumps where that was asked for; nil otherwise.
    func run(_ snapshot: SnapshotCatalog.Entry, _ repository: OpenRepository, _ context: CommandContext) throws -> Int32? {
        guard let to else { return nil }
        var options = LogicalRestore.Options()
        options.databases = databases
        options.globals = globals
        options.into = into
        let target = try ConnectionTarget(to)
        let started = ContinuousClock.now
        let restored = try LogicalRestore(repository, snapshot.snapshot, options: options).run(to: target) { context.note($0) }
        let result = Result(snapshot, restored, seconds: (ContinuousClock.now - started) / .seconds(1))
        if context.options.json {
            try context.console.print(JSONOutput.line(result))
        } else if !context.options.quiet {
            for database in result.databases {
                let compared = database.tablesCompared > 0 ? ", rows of \(NumberText.counted(database.tablesCompared, "table")) compared" : ""
                try context.console.print("restored database \(database.name) from snapshot \(snapshot.id.short)\(compared)")
            }
        }
        return ExitStatus.done
    }

    private struct Result: Encodable {
        let snapshotId: String
        let databases: [Database]
        let seconds: Double

        struct Database: Encodable {
            let database: String
            let name: String
            let tablesCompared: Int
        }

        init(_ snapshot: SnapshotCatalog.Entry, _ restored: [LogicalRestore.Restored], seconds: Double) {
            snapshotId = "\(snapshot.id)"
            databases = restored.map { Database(database: $0.database, name: $0.name, tablesCompared: $0.tablesCompared) }
            self.seconds = (seconds * 1000).rounded() / 1000
        }
    }
}
