public import PostgresClient

/// Which tables are brought back, and how.
public struct ExtractOptions: Sendable {
    /// Where to.
    public enum Destination: Sendable {
        /// A running server; into the database that it names, or else the one of the same name as the tables came from.
        case server(ConnectionTarget)
        /// A file of SQL, for psql; by its whole path.
        case script(String, replaces: Bool)
    }

    /// What becomes of tables that are there.
    public enum Existing: Hashable, Sendable {
        /// Nothing: it is refused.
        case refuse
        /// They are dropped, in the same transaction.
        case drop
        /// They stay, and rows are added to them.
        case append
    }

    public var destination: Destination
    public var tables: [TablePattern] = []
    /// Of which everything comes.
    public var schemas: [TablePattern] = []
    /// The database to look in; nil where it is plain which one is meant.
    public var database: String?
    /// SQL's condition for the rows that are wanted.
    public var rows: String?
    public var existing = Existing.refuse
    /// What the table is to be called.
    public var newName: String?
    /// Also owners and rights.
    public var withOwners = true

    public init(_ destination: Destination) { self.destination = destination }

    /// Of databases that have what was named, the one that is meant: the only one, or that of the same name as the one to load into.
    func choice(_ found: [String]) -> String? {
        if found.count == 1 { return found[0] }
        guard case .server(let target) = destination else { return nil }
        return found.first { $0 == target.database }
    }
}

/// A table that was brought back.
public struct ExtractedTable: Hashable, Sendable {
    public let table: TableName
    /// Rows that came from the source; nil for what has none of its own.
    public var rows: UInt64?
    /// Rows in the target afterwards; nil where it was not looked at.
    public var rowsInTarget: UInt64?
}

/// What came of it.
public struct ExtractResult: Sendable {
    /// The database that they came from.
    public var database = ""
    /// For people: the server and database, or the file.
    public var destination = ""
    public var tables: [ExtractedTable] = []
    public var notes: [String] = []
    /// What is missing in the result: rows of unlogged tables.
    public var warnings: [String] = []
    /// What had to be done, in order, with seconds.
    public var phases: [(name: String, seconds: Double)] = []
    /// Bytes of the dump, or of the script.
    public var bytes: UInt64 = 0

    public init() {}

    /// Runs a phase and notes its time.
    mutating func timed<R>(_ name: String, _ body: (inout ExtractResult) throws -> R) rethrows -> R {
        let clock = ContinuousClock()
        let started = clock.now
        defer { phases.append((name, (clock.now - started) / .seconds(1))) }
        return try body(&self)
    }
}
