import Glibc
import PostgresFormats
import RepoBase
import Storage
import StorageTesting

@testable import Repository
@testable import WALArchive

/// A repository in memory whose log can be filled with made-up segments.
final class ArchiveFixture: @unchecked Sendable {
    let store: MemoryStore
    let keys: KeyRing
    let folder: String
    static let system: UInt64 = 7_301_234_567_890_123_456

    init() throws {
        store = MemoryStore()
        keys = try RepositoryCreation.create(
            in: store, .password(Array("secret".utf8)),
            profiles: [
                .contentDefined(minimum: 4096, normal: 16384, maximum: 65536, strictBits: 14, looseBits: 10),
                .pageAligned(size: 16384),
            ], scrypt: ScryptParameters(log2N: 10, r: 1, p: 1)
        ).keyRing
        var template = Array("/tmp/repo-wal-XXXXXX".utf8CString)
        folder = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit { _ = try? RemovedFolder.remove(folder) }

    /// As another process sees it, by way of `store`.
    func archive(_ store: (any Store)? = nil, keys: KeyRing? = nil) throws -> WALArchive {
        WALArchive(
            try OpenRepository(store: store ?? self.store, keys: keys ?? self.keys, cacheDirectory: folder + "/cache"))
    }

    /// A writer key's view: it can archive and not read.
    func writerKeys() throws -> KeyRing {
        var full = keys
        _ = try full.addKey(
            to: store, .password(Array("writer".utf8)), role: .writer, label: "w", scrypt: ScryptParameters(log2N: 10, r: 1, p: 1))
        return try KeyRing.open(store, .password(Array("writer".utf8)))
    }

    static func segment(_ number: UInt64, timeline: UInt32 = 1, size: WALSegmentSize = .standard) -> String {
        WALSegment(timeline: timeline, number: number).name(size)
    }

    /// Content that depends on its seed, half of it compressible.
    static func content(_ seed: UInt64, count: Int) -> AlignedBuffer {
        let buffer = AlignedBuffer(capacity: count)
        var state = seed &+ 0x9E37_79B9_7F4A_7C15
        for index in 0..<count {
            if index % 8 == 0 { state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
            buffer.base.storeBytes(
                of: index / 4096 % 2 == 0 ? UInt8(truncatingIfNeeded: state >> 33) : UInt8(index / 512 & 7), toByteOffset: index, as: UInt8.self)
        }
        buffer.count = count
        return buffer
    }

    static func file(_ name: String, seed: UInt64, count: Int = 1 << 20, facts: WALFacts? = nil) -> WALFile {
        WALFile(name: name, content: content(seed, count: count), facts: facts)
    }
}

extension AlignedBuffer {
    var array: [UInt8] { withExtendedLifetime(self) { Array(bytes) } }
}

enum RemovedFolder {
    static func remove(_ path: String) throws {
        var pid: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = ["/bin/rm", "-rf", path].map { (word: String) in strdup(word) } + [nil]
        defer { for argument in arguments { free(argument) } }
        posix_spawn(&pid, "/bin/rm", nil, nil, &arguments, environ)
        waitpid(pid, nil, 0)
    }
}
