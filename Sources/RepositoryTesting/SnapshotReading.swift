import BlobEngine
package import RepoBase
package import Repository

/// Reads a snapshot back.
package struct SnapshotReading {
    let repository: OpenRepository
    private let reader: BlobReader

    package init(_ repository: OpenRepository) {
        self.repository = repository
        reader = BlobReader(repository)
    }

    package func files(_ id: ObjectID) throws -> MemoryFiles {
        var files: MemoryFiles = [:]
        let root = try SnapshotCatalog(repository).read(id).snapshot.root
        var waiting = [(root, "")]
        while let (tree, path) = waiting.popLast() {
            switch try TreeCodec.decode(try reader.bytes(tree, .tree), object: "tree \(tree)") {
            case .branch(let parts): waiting += parts.map { ($0.id, path) }
            case .leaf(let entries):
                for entry in entries {
                    let name = path + String(decoding: entry.name, as: UTF8.self)
                    if let below = entry.subtree { waiting.append((below, name + "/")) }
                    if let content = entry.content { files[name] = try bytes(content, entry.metadata.size) }
                }
            }
        }
        return files
    }

    private func bytes(_ content: Content, _ size: UInt64) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try ContentWalk.entries(of: content, size: size, reader) { entry, _ in
            if let id = entry.id {
                bytes += try reader.bytes(id, .chunk)
            } else {
                bytes += [UInt8](repeating: 0, count: Int(entry.length))
            }
            return true
        }
        return bytes
    }
}
