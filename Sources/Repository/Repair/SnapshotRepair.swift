import BlobEngine
public import RepoBase
import Storage

/// Makes restorable snapshots of damaged ones, without what is lost.
///
/// A file that has lost any of its content is left out, a directory whose tree is lost becomes empty and incomplete; each is
/// listed among the new snapshot's problems. The new snapshot has the old one's time and source, says which it repairs, and is tagged.
public struct SnapshotRepair {
    public struct Repaired: Sendable {
        public let old: ObjectID
        /// Nil when nothing of it is left, not even its root.
        public let new: ObjectID?
        public let problems: [SnapshotProblem]
        /// How many there are in all; `problems` has the first of them.
        public let problemCount: Int
    }

    public static let tag = "repaired=true"

    let repository: OpenRepository

    public init(_ repository: OpenRepository) { self.repository = repository }

    /// - Parameters:
    ///   - ids: the snapshots to repair where they are damaged; nil: all.
    ///   - forget: deletes a damaged snapshot when its replacement is there, unless it is held.
    ///   - verifiesData: opens every chunk instead of looking it up: for damage that `repair packs` has not removed from the index.
    /// Throws `.refused` for a writer key.
    public func run(
        _ ids: [ObjectID]? = nil, forget: Bool = false, verifiesData: Bool = false,
        stamp: JournalStamp = .now()
    ) throws -> [Repaired] {
        _ = try repository.keys.requireFull("repair snapshots")
        try repository.reloadIndex()
        let catalog = SnapshotCatalog(repository)
        let all = try catalog.all(onProblem: { _, _ in })
        let done = Set(all.compactMap(\.snapshot.repairs))
        let held = try catalog.names().held
        // What is found whole for one snapshot is not looked at again for the next.
        let completeness = try ContentCompleteness(repository, verifiesData: verifiesData)
        var repaired: [Repaired] = []
        for entry in try ids.map({ try $0.map(catalog.read) }) ?? all where !done.contains(entry.id) {
            guard try !completeness.isComplete(tree: entry.snapshot.root) else { continue }
            let result = try repair(entry, completeness)
            repaired.append(result)
            guard let new = result.new else { continue }
            try Journal.append(
                to: repository.store, by: repository.keys, stamp, action: "repair snapshot",
                subjects: ["\(entry.id)", "\(new)"], details: ["\(result.problemCount) entries lost"])
            if forget, !held.contains(entry.id) {
                // Recorded first: whoever misses it must find out why.
                try Journal.append(
                    to: repository.store, by: repository.keys, stamp, action: "forget",
                    subjects: ["\(entry.id)"],
                    details: ["repaired by \(new)"])
                try repository.store.delete(SnapshotObject.key(entry.id))
            }
        }
        return repaired
    }

    private struct Level {
        var cursor: LossyTreeCursor
        let path: [UInt8]
    }

    private func repair(_ entry: SnapshotCatalog.Entry, _ completeness: ContentCompleteness) throws
        -> Repaired
    {
        let writer = try SnapshotWriter(repository)
        var problems: [SnapshotProblem] = []
        var problemCount = 0
        func note(_ path: [UInt8], _ message: String) {
            problemCount += 1
            if problems.count < Snapshot.problemLimit {
                problems.append(SnapshotProblem(path: path, message: message))
            }
        }
        do {
            let root = LossyTreeCursor(entry.snapshot.root, writer.reader)
            guard !root.isLost else {
                writer.abandon()
                return Repaired(
                    old: entry.id, new: nil,
                    problems: [
                        SnapshotProblem(path: [UInt8(ascii: "/")], message: "the root directory is lost")
                    ],
                    problemCount: 1)
            }
            try writer.enterDirectory([], Self.rootMetadata(entry.snapshot))
            var stack = [Level(cursor: root, path: [])]
            while let top = stack.indices.last {
                guard let item = stack[top].cursor.next() else {
                    if stack[top].cursor.lostParts > 0 {
                        note(
                            stack[top].path.isEmpty ? [UInt8(ascii: "/")] : stack[top].path,
                            "some of its entries are lost")
                    }
                    try writer.leaveDirectory()
                    stack.removeLast()
                    continue
                }
                let path = stack[top].path + [UInt8(ascii: "/")] + item.name
                switch item.payload {
                case .directory(let id):
                    let cursor = LossyTreeCursor(id, writer.reader)
                    if cursor.isLost { note(path, "the directory's entries are lost") }
                    try writer.enterDirectory(
                        item.name, item.metadata,
                        isIncomplete: item.isIncomplete || cursor.isLost)
                    if cursor.isLost {
                        try writer.leaveDirectory()
                    } else {
                        stack.append(Level(cursor: cursor, path: path))
                    }
                case .file(let content):
                    if try completeness.isComplete(content, size: item.metadata.size) {
                        try writer.add(item)
                    } else {
                        note(path, "its content is lost")
                    }
                case .symbolicLink, .special: try writer.add(item)
                }
            }
            let result = try writer.commit { root, _ in
                var snapshot = entry.snapshot
                snapshot.root = root
                snapshot.repairs = entry.id
                if !snapshot.tags.contains(Self.tag) { snapshot.tags.append(Self.tag) }
                snapshot.problems = Array((problems + snapshot.problems).prefix(Snapshot.problemLimit))
                snapshot.statistics.errors += UInt64(problemCount)
                snapshot.programVersion = ProgramVersion.current
                return snapshot
            }
            return Repaired(old: entry.id, new: result.id, problems: problems, problemCount: problemCount)
        } catch {
            writer.abandon()
            throw error
        }
    }

    /// Nothing records the root directory's own metadata, and the writer does not store it.
    private static func rootMetadata(_ snapshot: Snapshot) -> FileMetadata {
        FileMetadata(
            type: .directory, permissions: 0o700, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0,
            inode: 0,
            modificationTime: snapshot.time, changeTime: snapshot.time)
    }
}
