import BlobEngine
import Foundation
import RepoBase
import Repository
import Storage
import Testing

/// A repository of format version 1 that was made once, by `tools/golden-repository`, and is read by every later version.
///
/// It has a password key and a machine key, two epochs, a stream, the same stream with scattered changes stored as deltas, and a tree.
@Suite("The golden repository of format version 1")
struct GoldenRepositoryTests {
    static let password = Array("golden, and known to everybody".utf8)

    /// A snapshot and all that it must give.
    struct Expected: Sendable, CustomTestStringConvertible {
        let id: String
        let source: String
        let kind: String
        let seconds: Int64
        let tags: [String]
        /// By path: `hash` of the content, as b2sum gave it when the repository was made.
        let files: [String: String]

        var testDescription: String { "\(source) of \(seconds)" }
    }

    private func open(_ credentials: Credentials) throws -> OpenRepository {
        let fixtures = try #require(
            Bundle.module.url(forResource: "repository-v1", withExtension: nil, subdirectory: "Fixtures"))
        let store = try LocalStore(path: fixtures.path, mustExist: true)
        let cache = FileManager.default.temporaryDirectory.appendingPathComponent(
            "golden-\(UUID().uuidString)"
        ).path
        return try OpenRepository(
            store: store, keys: try KeyRing.open(store, credentials), cacheDirectory: cache)
    }

    /// With the least costly key that opens it, and without what it left on this machine.
    private func withRepository(_ body: (OpenRepository) throws -> Void) throws {
        let file = try #require(
            Bundle.module.url(forResource: "repository-v1", withExtension: "key", subdirectory: "Fixtures"))
        let repository = try open(.machineKey(Array(try Data(contentsOf: file))))
        defer { try? FileManager.default.removeItem(atPath: repository.cacheDirectory) }
        try body(repository)
    }

    @Test("It opens with its password and with its machine key")
    func opens() throws {
        let repository = try open(.password(Self.password))
        #expect("\(repository.keys.repositoryID)" == Self.repositoryID)
        #expect(repository.keys.role == .full)
        #expect(repository.keys.listKeys().map(\.label).sorted() == ["first", "machine"])
        #expect(repository.keys.currentEpoch.epoch == 2)
        try withRepository { #expect("\($0.keys.repositoryID)" == Self.repositoryID) }
    }

    @Test("Its snapshots have the ids that they were given")
    func ids() throws {
        try withRepository { repository in
            let entries = try SnapshotCatalog(repository).all()
            #expect(entries.map { "\($0.id)" } == Self.snapshots.map(\.id))
        }
    }

    @Test("Every file reads as it was", arguments: GoldenRepositoryTests.snapshots)
    func reads(expected: Expected) throws {
        try withRepository { repository in
            let entry = try SnapshotCatalog(repository).read(try #require(ObjectID(expected.id)))
            #expect(entry.snapshot.source == expected.source)
            #expect(entry.snapshot.kind == expected.kind)
            #expect(entry.snapshot.time == FileTime(seconds: expected.seconds, nanoseconds: 0))
            #expect(entry.snapshot.tags == expected.tags)
            #expect(entry.snapshot.host == "golden")
            var found: [String: String] = [:]
            try TreeListing(BlobReader(repository)).walk(entry.snapshot.root) { path, entry in
                if let content = entry.content {
                    var bytes: [UInt8] = []
                    try ContentStream(repository).read(content, size: entry.metadata.size) { bytes += $0 }
                    #expect(UInt64(bytes.count) == entry.metadata.size)
                    found[Self.printable(path)] = "\(ObjectHasher.hash(bytes))"
                }
                return .descend
            }
            #expect(found == expected.files)
        }
    }

    @Test("Its second dump rests on the first, and its blobs have every type")
    func encodings() throws {
        try withRepository { repository in
            var encodings: Set<BlobEncoding> = []
            var types: Set<BlobType> = []
            for table in try repository.index().tables {
                for position in 0..<table.count {
                    let record = try #require(table.record(at: position))
                    encodings.insert(record.encoding)
                    types.insert(record.type)
                    if record.encoding == .delta { #expect(record.bases.count > 0) }
                }
            }
            #expect(encodings == [.plain, .zstd, .delta])
            #expect(types == [.chunk, .list, .tree])
        }
    }

    @Test("Its tree has every kind of entry with all its metadata")
    func tree() throws {
        try withRepository { repository in
            let root = try SnapshotCatalog(repository).find("latest:tree").snapshot.root
            let reader = BlobReader(repository)
            func entry(_ path: String) throws -> TreeEntry {
                guard
                    case .entry(let entry) = try SnapshotPath.find(
                        root, Array("/tmp/golden-tree/\(path)".utf8), reader)
                else { throw RepoError(.failed, "\(path) is the root") }
                return entry
            }
            let small = try entry("small")
            let link = try entry("directory/hard link")
            #expect(small.metadata.linkCount == 2)
            #expect(
                (small.metadata.inode, small.metadata.device) == (link.metadata.inode, link.metadata.device))
            #expect(small.content == link.content)
            #expect(
                small.metadata.modificationTime == FileTime(seconds: 1_767_184_496, nanoseconds: 123_456_789))
            #expect(small.metadata.userName == Array("root".utf8))
            #expect(
                try entry("directory/symbolic link").payload == .symbolicLink(target: Array("../small".utf8)))
            #expect(try entry("fifo").metadata.type == .fifo)
            #expect(try entry("empty").content == .empty)
            #expect(try entry("empty directory").metadata.type == .directory)
            let attributes = try entry("attributes").metadata
            #expect(attributes.permissions == 0o4751)
            #expect(
                attributes.extendedAttributes == [
                    ExtendedAttribute(name: Array("user.comment".utf8), value: Array("kept for good".utf8))
                ])
            let sparse = try entry("sparse")
            #expect(sparse.isPageAligned)
            var holes: UInt64 = 0
            try ContentWalk.entries(of: try #require(sparse.content), size: sparse.metadata.size, reader) {
                piece, _ in
                if piece.id == nil { holes += piece.length }
                return true
            }
            #expect(holes > 900_000)
            guard case .list = try #require(try entry("directory/large").content) else {
                Issue.record("the large file has no list")
                return
            }
        }
    }

    /// Bytes that are not UTF-8 as `\xNN`, so that the table below can name them.
    private static func printable(_ path: [UInt8]) -> String {
        if let text = String(validating: path, as: UTF8.self) { return text }
        return path.map { $0 < 0x80 ? String(UnicodeScalar($0)) : "\\x" + String($0, radix: 16) }.joined()
    }
}
