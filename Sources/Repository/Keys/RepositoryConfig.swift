public import BlobEngine
public import RepoBase

/// The object `config`: what a repository is, who may use it, and under which keys (format.md, 3).
///
/// It is signed by the repository's authority, whose private key every full key holds. Each change makes a
/// new generation, which names the one before it by its hash.
public struct RepositoryConfig: Hashable, Sendable {
    public var repositoryID: RepositoryID
    /// When the repository was created, in seconds since 1970.
    public var created: Int64
    /// 1 for the first.
    public var generation: UInt64
    /// The hash of the previous generation's bytes; nil in generation 1.
    public var previous: ObjectID?
    /// The public key that signs config.
    public var authority: [UInt8]
    public var profiles: [ChunkerProfile]
    public var keys: [KeyEntry]
    /// Ascending by number, never empty.
    public var epochs: [EpochEntry]
    /// Bytes of parity for 10,000 of packs; nil where none is kept (format.md, 13).
    public var parity: UInt64?
    /// Fields of later versions that may be ignored, but not dropped when config is written again.
    var unknownFields: [UnknownField] = []

    struct UnknownField: Hashable, Sendable {
        var tag: UInt64
        var bytes: [UInt8]
    }

    public func key(_ id: KeyID) -> KeyEntry? { keys.first { $0.id == id } }

    public var activeKeys: [KeyEntry] { keys.filter { $0.state == .active } }

    /// The epoch that new data belongs to.
    public var currentEpoch: UInt32 { epochs.last!.number }
}

/// What a key allows.
public enum KeyRole: UInt8, Hashable, Sendable, CaseIterable {
    /// Everything.
    case full = 1
    /// Adding backups, without reading any.
    case writer = 2
}

/// What protects a key.
public enum KeyKind: UInt8, Hashable, Sendable, CaseIterable {
    /// A password, through scrypt.
    case password = 1
    /// A random secret in a file of the machine.
    case machine = 2
}

public enum KeyState: UInt8, Hashable, Sendable {
    case active = 1
    /// It opens nothing any more. It stays listed, so that what it signed can be verified.
    case removed = 2
}

/// One key, as config lists it.
public struct KeyEntry: Hashable, Sendable {
    public var id: KeyID
    public var role: KeyRole
    public var kind: KeyKind
    public var state: KeyState
    /// Verifies what the key signed: Ed25519, 32 bytes.
    public var verifyingKey: [UInt8]
    /// Epochs are granted to it: X25519, 32 bytes.
    public var agreementKey: [UInt8]
    /// Seconds since 1970.
    public var created: Int64
    /// For people; at most 255 bytes.
    public var label: String
}

/// One epoch: a key pair for data and an index key, and to whom they were given.
public struct EpochEntry: Hashable, Sendable {
    public var number: UInt32
    /// Seconds since 1970.
    public var created: Int64
    /// X25519, 32 bytes.
    public var publicKey: [UInt8]
    public var grants: [EpochGrant]

    public func grant(for id: KeyID) -> EpochGrant? { grants.first { $0.keyID == id } }
}

/// An epoch's secrets in an envelope for one key.
public struct EpochGrant: Hashable, Sendable {
    public var keyID: KeyID
    public var envelope: [UInt8]
}
