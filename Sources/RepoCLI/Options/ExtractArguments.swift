import ArgumentParser
import PostgresClient
import Recovery
import RepoBase

/// Options of `repo restore` for single tables.
struct ExtractArguments: ParsableArguments {
    @Option(
        name: .customLong("table"),
        help: ArgumentHelp(
            "Only this table with its indexes, sequences and partitions; '*' and '?' stand for anything, double quotes keep upper case. May be repeated.",
            valueName: "pattern"))
    var tables: [String] = []
    @Option(name: .customLong("schema"), help: ArgumentHelp("Only what is in this schema; may be repeated.", valueName: "pattern"))
    var schemas: [String] = []
    @Option(
        name: .customLong("where"),
        help: ArgumentHelp("Of one table, only rows for which this holds, as in 'id > 5'. Not from dumps.", valueName: "condition"))
    var rows: String?
    @Option(help: ArgumentHelp("What the table is to be called. Not from dumps.", valueName: "name")) var renameTo: String?
    @Flag(help: "Drop tables that are there first, in the same transaction.") var clean = false
    @Flag(help: "Add the rows to tables that are there, which stay as they are otherwise.") var append = false
    @Flag(help: "Leave owners and rights out.") var noOwner = false
    @Option(
        help: ArgumentHelp(
            "Where a base backup is restored and recovered meanwhile. (default: \(ThrowawayOptions.defaultScratch))", valueName: "folder"))
    var scratch: String?
    @Option(help: ArgumentHelp("A superuser of the recovered cluster. (default: postgres)", valueName: "role")) var superuser: String?

    /// Whether tables were asked for, and not whole databases.
    var isAsked: Bool { !tables.isEmpty || !schemas.isEmpty }

    /// Options that mean something for tables alone.
    var details: [String] {
        [
            ("--where", rows != nil), ("--rename-to", renameTo != nil), ("--clean", clean), ("--append", append), ("--no-owner", noOwner),
        ].filter(\.1).map(\.0)
    }

    func validate() throws {
        guard isAsked else { return }
        func exclude(_ a: String, _ isA: Bool, _ b: String, _ isB: Bool, _ advice: String = "") throws {
            if isA, isB { throw ValidationError("\(a) and \(b) exclude each other.\(advice.isEmpty ? "" : " \(advice)")") }
        }
        try exclude("--table", !tables.isEmpty, "--schema", !schemas.isEmpty, "Tables of a schema are --table 'SCHEMA.*'.")
        try exclude("--append", append, "--clean", clean)
        try exclude("--append", append, "--rename-to", renameTo != nil)
        for (name, isGiven) in [("--where", rows != nil), ("--rename-to", renameTo != nil), ("--append", append)] where isGiven {
            guard schemas.isEmpty else { throw ValidationError("\(name) goes with --table.") }
        }
        for (name, isGiven) in [("--where", rows != nil), ("--rename-to", renameTo != nil)] where isGiven {
            guard tables.count == 1 else { throw ValidationError("\(name) goes with a single --table.") }
        }
    }

    /// - Parameters:
    ///   - to: --to; nil: a file is written.
    ///   - file: --target.
    /// Throws `.usage` for what is no pattern or connection string.
    func options(to: String?, file: String, replaces: Bool, database: String?) throws -> ExtractOptions {
        var options = ExtractOptions(
            try to.map { .server(try ConnectionTarget($0)) } ?? .script(try LogAccess.absolute(file), replaces: replaces))
        options.tables = try tables.map { try TablePattern($0) }
        options.schemas = try schemas.map { try TablePattern(schema: $0) }
        options.database = database
        if let rows {
            guard !rows.allSatisfy(\.isWhitespace) else { throw RepoError(.usage, "--where is empty", advice: "Leave it out for all rows.") }
            options.rows = rows
        }
        options.newName = renameTo
        options.existing = append ? .append : clean ? .drop : .refuse
        options.withOwners = !noOwner
        return options
    }
}
