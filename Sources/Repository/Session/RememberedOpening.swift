import BlobEngine
import Glibc
import RepoBase
public import Storage

/// The two objects that opened a repository the last time, kept on this machine: `config` and the key's own (format.md, appendix E).
///
/// With them a command that only reads asks a remote store nothing before its own question. They are opened as those from the store are, with
/// the same secret and the same signatures. What they may be is old: a key that was removed since, keys that were rotated, a repository that is
/// no longer there. So nothing is written on their word, nothing is said to be absent or damaged, and they serve for a day.
public struct RememberedOpening: Sendable {
    private static let magic = Array("repoopen".utf8)
    private static let version: UInt32 = 1
    private static let seconds = 86_400

    private let path: String

    /// - Parameters:
    ///   - cacheDirectory: of all repositories.
    ///   - credentials: those of a machine and those of a password are remembered apart.
    public init(_ cacheDirectory: String, location: String, _ credentials: Credentials) {
        let kind =
            switch credentials {
            case .password: "password"
            case .machineKey: "machine"
            }
        path = "\(cacheDirectory)/opened/\(ObjectHasher.hash(Array(location.utf8) + [0] + Array(kind.utf8)))"
    }

    /// The key ring as of then; nil where nothing is remembered, it is old, or the secret does not open it.
    public func open(_ credentials: Credentials) -> KeyRing? {
        var status = stat()
        guard stat(path, &status) == 0, abs(time(nil) - status.st_mtim.tv_sec) < Self.seconds,
            let bytes = LocalFolder.contents(path, atMost: RepositoryConfig.byteLimit + WrappedKey.byteLimit + 1024),
            let store = try? Self.store(bytes)
        else { return nil }
        return try? KeyRing.open(store, credentials)
    }

    private static func store(_ bytes: [UInt8]) throws -> MemoryStore {
        var reader = ByteReader(bytes, object: "what was remembered")
        guard try reader.raw(8).elementsEqual(magic), try reader.u32() == version else { throw reader.fail("it is of another kind") }
        let config = Array(try reader.bytes(atMost: RepositoryConfig.byteLimit))
        let name = String(decoding: try reader.bytes(atMost: 512), as: UTF8.self)
        let key = Array(try reader.bytes(atMost: WrappedKey.byteLimit))
        guard let keyName = StoreKey(checking: name), name.hasPrefix(WrappedKey.prefix) else { throw reader.fail("it names no key") }
        let store = MemoryStore()
        try store.put(ConfigHistory.key, config, .create)
        try store.put(keyName, key, .create)
        return store
    }

    /// Opens the repository in `store`, and remembers what it was opened with. Throws as `KeyRing.open`.
    public func openAnew(_ store: any Store, _ credentials: Credentials) throws -> KeyRing {
        let recording = OpeningRecord(store)
        do {
            let keys = try KeyRing.open(recording, credentials)
            remember(recording.objects)
            return keys
        } catch {
            forget()
            throw error
        }
    }

    private func remember(_ objects: (config: [UInt8]?, key: (name: StoreKey, bytes: [UInt8])?)) {
        guard let config = objects.config, let key = objects.key else { return }
        var writer = ByteWriter()
        writer.raw(Self.magic)
        writer.u32(Self.version)
        writer.bytes(config)
        writer.bytes(Array(key.name.description.utf8))
        writer.bytes(key.bytes)
        guard let slash = path.lastIndex(of: "/"), (try? LocalFolder.make(String(path[..<slash]))) != nil else { return }
        try? LocalFolder.replace(path, with: writer.bytes)
    }

    public func forget() { unlink(path) }
}

/// Notes the last `config` and the last key that were read: those with which an opening ends.
private final class OpeningRecord: Store {
    private let base: any Store
    private let state = Monitor<(config: [UInt8]?, key: (name: StoreKey, bytes: [UInt8])?)>((nil, nil))

    init(_ base: any Store) { self.base = base }

    var objects: (config: [UInt8]?, key: (name: StoreKey, bytes: [UInt8])?) { state.withLock { $0 } }
    var location: String { base.location }

    func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        let bytes = try base.get(key, atMost: limit)
        state.withLock { state in
            if key == ConfigHistory.key { state.config = bytes }
            if key.description.hasPrefix(WrappedKey.prefix) { state.key = (key, bytes) }
        }
        return bytes
    }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }
    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }
    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }
    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
