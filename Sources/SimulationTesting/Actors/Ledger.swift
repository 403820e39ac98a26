package import RepoBase
package import RepositoryTesting

/// What was promised of one place, and what may be there beside.
package struct Ledger {
    /// Snapshots that were reported as done, and that nobody has begun to let go.
    package private(set) var snapshots: [ObjectID: MemoryFiles] = [:]
    /// Those that somebody has let go, or begun to: they may be there.
    private var released: Set<ObjectID> = []
    /// Files of the log that were reported as archived, by name, with the seed of their content.
    package var log: [String: UInt64] = [:]

    /// One that is let go before its process could say that it is done is promised by nobody.
    package mutating func promise(_ id: ObjectID, _ files: MemoryFiles) { if !released.contains(id) { snapshots[id] = files } }

    mutating func release(_ id: ObjectID) {
        snapshots[id] = nil
        released.insert(id)
    }
}

/// A snapshot that was begun, under the second that stands in it as its time.
package struct Attempt {
    package let files: MemoryFiles
    package let source: String
    package let process: SimulatedProcess
}
