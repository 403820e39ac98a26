import BlobEngine
import RepoBase
import Repository
import Storage
import Testing

/// What the tests of keys share: the least costly scrypt, a stamp that never changes, a repository in memory.
enum KeyFixtures {
    static let scrypt = ScryptParameters(log2N: 10, r: 1, p: 1)
    static let stamp = JournalStamp(time: 1_700_000_000, host: "db1", user: "backup")
    static let password = Array("correct horse".utf8)
    static let profiles: [ChunkerProfile] = [
        .contentDefined(minimum: 65536, normal: 131072, maximum: 524288, strictBits: 19, looseBits: 15),
        .pageAligned(size: 262144),
    ]

    static func create(in store: any Store = MemoryStore()) throws -> (store: any Store, keyRing: KeyRing) {
        let result = try RepositoryCreation.create(
            in: store, .password(password), profiles: profiles, label: "first", scrypt: scrypt, stamp: stamp)
        return (store, result.keyRing)
    }
}

extension KeyRing {
    mutating func addMachineKey(
        to store: any Store, role: KeyRole = .full, label: String = ""
    ) throws -> (id: KeyID, credentials: Credentials) {
        let added = try addKey(
            to: store, .machine, role: role, label: label, scrypt: KeyFixtures.scrypt,
            stamp: KeyFixtures.stamp)
        return (added.id, .machineKey(Array(try #require(added.keyFile).utf8)))
    }
}

/// The code of the error that `body` throws; nil when it throws none or one of another type.
func code(of body: () throws -> Void) -> RepoError.Code? {
    do {
        try body()
        return nil
    } catch { return (error as? RepoError)?.code }
}

extension Store {
    func bytes(_ key: StoreKey) throws -> [UInt8] { try get(key, atMost: 1 << 26) }
}
