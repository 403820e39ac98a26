import Recovery
import RepoBase
import Repository

/// `repo restore --table` with `--json`, and what it says to people in the end.
struct ExtractReport: Encodable {
    let snapshotId: String
    let database: String
    /// The server and its database, without a password; or the file.
    let destination: String
    let tables: [Table]
    let bytes: UInt64
    let seconds: Double
    /// Seconds of each phase, in order.
    let phases: [Phase]
    let notes: [String]
    let warnings: [String]
    let dryRun: Bool?
    /// What was recovered; absent for dumps.
    let recovery: RecoveryReport?

    struct Table: Encodable {
        let schema: String
        let name: String
        /// Rows that came from the backup; absent for what has none of its own.
        let rows: UInt64?
        /// Counted afterwards; absent where rows were added to others, and for files.
        let rowsInTarget: UInt64?
    }

    struct Phase: Encodable {
        let name: String
        let seconds: Double
    }

    init(_ snapshot: SnapshotCatalog.Entry, _ result: ExtractResult, seconds: Double, isDryRun: Bool, recovery: RecoveryReport?) {
        snapshotId = "\(snapshot.id)"
        database = result.database
        destination = result.destination
        tables = result.tables.map { Table(schema: $0.table.schema, name: $0.table.name, rows: $0.rows, rowsInTarget: $0.rowsInTarget) }
        bytes = result.bytes
        self.seconds = (seconds * 1000).rounded() / 1000
        phases = result.phases.map { Phase(name: $0.name, seconds: ($0.seconds * 1000).rounded() / 1000) }
        notes = result.notes
        warnings = result.warnings
        dryRun = isDryRun ? true : nil
        self.recovery = recovery
    }

    static func lines(_ result: ExtractResult, seconds: Double, isDryRun: Bool, appends: Bool) -> [String] {
        var lines: [String] = []
        for table in result.tables {
            let rows = table.rows.map { ": \(NumberText.grouped($0)) row\($0 == 1 ? "" : "s")" } ?? ""
            let counted = table.rowsInTarget == nil ? "" : ", counted again there"
            lines.append("\(isDryRun ? "would restore" : appends ? "added to" : "restored") \(table.table)\(rows)\(counted)")
        }
        lines.append(
            isDryRun
                ? "dry run: nothing was changed" : "from database \(TextDisplay.oneLine(result.database)) into \(TextDisplay.oneLine(result.destination)) in \(NumberText.seconds(seconds)): \(phases(result))")
        return lines
    }

    static func databaseLines(_ result: ExtractResult, seconds: Double, isDryRun: Bool) -> [String] {
        if isDryRun { return ["dry run: nothing was changed"] }
        let rows = result.tables.reduce(0) { $0 + ($1.rows ?? 0) }
        return [
            "restored database \(TextDisplay.oneLine(result.database)) into \(TextDisplay.oneLine(result.destination)): "
                + "\(NumberText.counted(result.tables.count, "table")), \(NumberText.counted(rows, "row")), counted again there",
            "in \(NumberText.seconds(seconds)): \(phases(result))",
        ]
    }

    private static func phases(_ result: ExtractResult) -> String {
        result.phases.filter { $0.seconds >= 0.0005 }.map { "\($0.name) \(NumberText.seconds($0.seconds))" }.joined(separator: ", ")
    }
}
