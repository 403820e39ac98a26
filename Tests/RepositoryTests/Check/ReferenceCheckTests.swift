import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

/// Trees and lists that say of others what they are not: what no writer of ours stores, and a restore would stumble over.
@Suite("A check compares what trees and lists say with what is there") struct ReferenceCheckTests {
    private let repository: CheckedRepository

    init() throws { repository = try CheckedRepository() }

    /// Stores blobs as they are given, in packs that are whole.
    private final class Forge {
        let open: OpenRepository
        private let output: PackOutput

        init(_ open: OpenRepository) throws {
            self.open = open
            _ = try open.index()
            output = PackOutput(open)
        }

        func add(_ type: BlobType, _ bytes: [UInt8]) throws -> BlobID {
            try bytes.withUnsafeBytes { bytes in
                let id = open.blobHasher.id(type, bytes)
                try output.append(id: id, type: type, encoding: .plain, rawLength: UInt32(bytes.count), bases: BlobBases(), encoded: bytes)
                return id
            }
        }

        func list(_ level: UInt8, _ entries: [(UInt64, BlobID?)]) throws -> BlobID {
            try add(.list, ContentList(level: level, entries: entries.map { .init(length: $0, id: $1) }).encode())
        }

        func leaf(_ entries: [TreeEntry]) throws -> BlobID { try add(.tree, TreeCodec.encode(leaf: entries)) }

        func publish(_ root: BlobID) throws -> ObjectID {
            try output.finish()
            let snapshot = Snapshot(time: FileTime(seconds: 1, nanoseconds: 0), source: "s", kind: "files", root: root)
            let bytes = try SnapshotCodec.encode(snapshot, epoch: open.keys.currentEpoch, signer: open.keys.signer)
            try open.store.put(SnapshotObject.key(ObjectHasher.hash(bytes)), bytes, .create)
            return ObjectHasher.hash(bytes)
        }
    }

    private static func file(_ name: String, _ content: Content, _ size: UInt64) -> TreeEntry {
        let time = FileTime(seconds: 1, nanoseconds: 0)
        return TreeEntry(
            name: Array(name.utf8),
            metadata: FileMetadata(
                type: .regular, permissions: 0o600, userID: 0, groupID: 0, size: size, linkCount: 1, device: 0, inode: 0, modificationTime: time, changeTime: time),
            payload: .file(content))
    }

    enum Lie: CaseIterable {
        case sizeOfAChunk, sizeOfAList, lengthOfAnEntry, lengthOfAList, level, namesOfAPart, countOfAPart, partsOutOfOrder
    }

    /// One file that is whole, and one that is not; or a directory that is not.
    private func forge(_ lie: Lie?) throws -> ObjectID {
        let forge = try Forge(repository.open())
        let chunk = try forge.add(.chunk, Array(repeating: 7, count: 100))
        let low = try forge.list(0, [(lie == .lengthOfAnEntry ? 99 : 100, chunk), (50, nil), (100, chunk)])
        let total: UInt64 = lie == .lengthOfAnEntry ? 249 : 250
        let high = try forge.list(
            lie == .level ? 2 : 1, [(total, low), (lie == .lengthOfAList ? total + 1 : total, low)])
        let size = 2 * total + (lie == .lengthOfAList ? 1 : 0)
        let first = try forge.leaf([
            Self.file("a", .chunk(chunk), lie == .sizeOfAChunk ? 101 : 100), Self.file("b", .list(high), lie == .sizeOfAList ? size - 1 : size),
        ])
        let second = try forge.leaf([Self.file(lie == .partsOutOfOrder ? "A" : "c", .chunk(chunk), 100)])
        let name = lie == .namesOfAPart ? "bb" : lie == .partsOutOfOrder ? "A" : "c"
        var parts = [
            TreeNode.Branch(firstName: [97], entryCount: lie == .countOfAPart ? 3 : 2, id: first), .init(firstName: Array(name.utf8), entryCount: 1, id: second),
        ]
        // A branch's own names ascend in any case; its parts are what differs then.
        if lie == .partsOutOfOrder { parts[1] = .init(firstName: [98], entryCount: 1, id: second) }
        return try forge.publish(forge.add(.tree, TreeCodec.encode(branch: parts)))
    }

    @Test("What is as it is said to be is clean") func honest() throws {
        defer { repository.remove() }
        _ = try forge(nil)
        #expect(try repository.check().errors == [])
    }

    @Test("A lie is named with the snapshot and the path that it hurts, with data and without", arguments: Lie.allCases) func lies(_ lie: Lie) throws {
        defer { repository.remove() }
        let id = try forge(lie)
        for data in [DataSubset.all, nil] {
            let errors = try repository.check(data).errors
            #expect(errors.count == 1 && errors.first?.kind == .pack && errors.first?.snapshots == [id], "\(errors)")
            #expect(errors.first?.problem.contains("says of others what they are not") == true, "\(errors)")
            let path =
                switch lie {
                case .sizeOfAChunk: "/a"
                case .namesOfAPart, .countOfAPart, .partsOutOfOrder: "/"
                default: "/b"
                }
            #expect(errors.first?.paths == [Array(path.utf8)], "\(errors)")
        }
    }

    @Test("What a repair makes of it is clean", arguments: Lie.allCases) func repaired(_ lie: Lie) throws {
        defer { repository.remove() }
        _ = try forge(lie)
        let repaired = try SnapshotRepair(repository.open()).run(forget: true, verifiesData: true)
        #expect(repaired.count == 1 && repaired.first?.new != nil)
        #expect(try repository.check().errors == [])
    }

    @Test("A list that two files name is compared with what each says of it") func twice() throws {
        defer { repository.remove() }
        let forge = try Forge(repository.open())
        let chunk = try forge.add(.chunk, Array(repeating: 7, count: 100))
        let list = try forge.list(0, [(100, chunk), (100, chunk)])
        let id = try forge.publish(forge.leaf([Self.file("a", .list(list), 200), Self.file("b", .list(list), 201), Self.file("c", .list(list), 200)]))
        let errors = try repository.check().errors
        #expect(errors.map(\.paths) == [[Array("/b".utf8)]] && errors.first?.snapshots == [id], "\(errors)")
    }

    /// What a blob is taken for, which is met as what it is before or afterwards.
    enum Mistake: CaseIterable {
        case treeAsList, treeAsChunk, listAsTree, listAsChunk, chunkAsTree, chunkAsList
    }

    @Test("What is taken for another thing is named, whichever is met first, and a repair leaves it out", arguments: Mistake.allCases, [true, false])
    func types(_ mistake: Mistake, comesFirst: Bool) throws {
        defer { repository.remove() }
        let forge = try Forge(repository.open())
        let chunk = try forge.add(.chunk, Array(repeating: 7, count: 100))
        let listBytes = ContentList(level: 0, entries: [.init(length: 100, id: chunk), .init(length: 100, id: chunk)]).encode()
        let list = try forge.add(.list, listBytes)
        let treeBytes = TreeCodec.encode(leaf: [Self.file("x", .chunk(chunk), 100)])
        let tree = try forge.add(.tree, treeBytes)
        func directory(_ name: String, _ id: BlobID) -> TreeEntry {
            var entry = Self.file(name, .empty, 0)
            entry.metadata.type = .directory
            entry.payload = .directory(id)
            return entry
        }
        let name = comesFirst ? "a" : "z"
        let wrong =
            switch mistake {
            case .treeAsList: Self.file(name, .list(tree), 200)
            case .treeAsChunk: Self.file(name, .chunk(tree), UInt64(treeBytes.count))
            case .listAsTree: directory(name, list)
            case .listAsChunk: Self.file(name, .chunk(list), UInt64(listBytes.count))
            case .chunkAsTree: directory(name, chunk)
            case .chunkAsList: Self.file(name, .list(chunk), 100)
            }
        let right = [Self.file("b", .chunk(chunk), 100), Self.file("c", .list(list), 200), directory("d", tree)]
        let id = try forge.publish(forge.leaf(comesFirst ? [wrong] + right : right + [wrong]))
        for data in [DataSubset.all, nil] {
            let errors = try repository.check(data).errors
            #expect(errors.map(\.paths) == [[Array("/\(name)".utf8)]] && errors.first?.snapshots == [id], "\(errors)")
            #expect(errors.first?.problem.contains("says of others what they are not") == true, "\(errors)")
        }
        for verifiesData in [false, true] where verifiesData || comesFirst {
            let repaired = try SnapshotRepair(repository.open()).run(forget: true, verifiesData: verifiesData)
            #expect(repaired.count == (verifiesData && comesFirst ? 0 : 1))
        }
        #expect(try repository.check().errors == [])
    }
}
