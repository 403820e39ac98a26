/// SQL that has to be true of restored data.
public struct DrillAssertion: Hashable, Sendable {
    /// What people gave: the SQL itself, or the name of a file.
    public var name: String
    /// One statement or more. Each that answers with rows must answer with one row of one column, and that must be true.
    public var script: String

    public init(name: String, script: String) { (self.name, self.script) = (name, script) }
}

/// What a restore test looks at.
public struct DrillOptions: Sendable {
    public var assertions: [DrillAssertion] = []
    /// The database that assertions are asked in; nil: the only one there is.
    public var database: String?
    /// Runs pg_amcheck over all tables and indexes.
    public var checksStructure = true
    /// Also looks up every row of a table in its indexes (pg_amcheck --heapallindexed).
    public var checksRowsInIndexes = false
    /// Verifies page checksums, where the cluster has them.
    public var verifiesChecksums = true
    /// Leaves the restored files where they are.
    public var keeps = false
    public var jobs = 1

    public init() {}
}
