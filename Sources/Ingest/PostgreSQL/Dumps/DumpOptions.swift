/// What a dump takes.
public struct DumpOptions: Hashable, Sendable {
    /// Databases whose names match one of these, with `*` and `?`; all where there is none.
    public var databases: [String] = []
    public var excludedDatabases: [String] = []
    /// Patterns of pg_dump, handed on as they are (manual, psql, "Patterns").
    public var schemas: [String] = []
    public var excludedSchemas: [String] = []
    public var tables: [String] = []
    public var excludedTables: [String] = []
    /// Counts the rows of every table that is dumped, in the dump's own snapshot.
    public var countsRows = false

    public init() {}

    func takes(_ database: String) -> Bool {
        (databases.isEmpty || databases.contains { Self.matches(database, $0) })
            && !excludedDatabases.contains { Self.matches(database, $0) }
    }

    /// Whether the whole name matches a pattern with `*` and `?`.
    public static func matches(_ name: String, _ pattern: String) -> Bool {
        matches(Array(name.unicodeScalars)[...], Array(pattern.unicodeScalars)[...])
    }

    /// Linear in most cases: after a `*` only the latest one is tried again.
    private static func matches(_ name: ArraySlice<Unicode.Scalar>, _ pattern: ArraySlice<Unicode.Scalar>) -> Bool {
        var (name, pattern) = (name, pattern)
        var retry: (name: ArraySlice<Unicode.Scalar>, pattern: ArraySlice<Unicode.Scalar>)?
        while true {
            if pattern.first == "*" {
                retry = (name, pattern.dropFirst())
                pattern = pattern.dropFirst()
            } else if let next = name.first, pattern.first == "?" || pattern.first == next {
                name = name.dropFirst()
                pattern = pattern.dropFirst()
            } else if name.isEmpty, pattern.isEmpty {
                return true
            } else {
                guard let again = retry, !again.name.isEmpty else { return false }
                retry = (again.name.dropFirst(), again.pattern)
                (name, pattern) = (again.name.dropFirst(), again.pattern)
            }
        }
    }

    /// pg_dump's arguments but for the connection.
    var arguments: [String] {
        var words = ["--format=custom", "--compress=0", "--no-password"]
        for (option, patterns) in [
            ("--schema", schemas), ("--exclude-schema", excludedSchemas), ("--table", tables), ("--exclude-table", excludedTables),
        ] {
            words += patterns.map { "\(option)=\($0)" }
        }
        return words
    }
}
