package import RepoBase
package import RepositoryTesting

/// What was promised of one place, and what may be there beside.
package struct Ledger {
    /// Snapshots that were reported as done, and that nobody has begun to let go.
    package var snapshots: [ObjectID: MemoryFiles] = [:]
    /// Those that somebody has let go, or begun to: they may be there.
    package var released: [ObjectID: MemoryFiles] = [:]
    /// Files of the log that were reported as archived, by name, with the seed of their content.
    package var log: [String: UInt64] = [:]

    mutating func release(_ id: ObjectID) {
        if let files = snapshots.removeValue(forKey: id) { released[id] = files }
    }
}

/// A snapshot that was begun, under the second that stands in it as its time.
package struct Attempt {
    package let files: MemoryFiles
    package let source: String
    package let process: SimulatedProcess
}
