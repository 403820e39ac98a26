import RepoBase

/// Names one of the repository's keys: the first 16 bytes of the hash of its Ed25519 public key
/// (format.md, 1.2). Written as 32 lower-case hexadecimal digits.
public struct KeyID: Hashable, Comparable, Sendable, BitwiseCopyable {
    public static let byteCount = 16

    private let high: UInt64
    private let low: UInt64

    public init(publicKey: [UInt8]) {
        let hash = ObjectHasher.hash(publicKey)
        (high, low) = (hash.word0, hash.word1)
    }

    /// Nil unless there are 16 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == KeyID.byteCount else { return nil }
        (high, low) = Array(bytes).withUnsafeBytes {
            (
                UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    public var bytes: [UInt8] {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { [UInt8]($0) }
    }

    public static func < (a: KeyID, b: KeyID) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

extension KeyID: CustomStringConvertible {
    public var description: String { Hexadecimal.encode(bytes) }
    /// The first 8 digits, as shown to people.
    public var short: String { String(description.prefix(8)) }

    /// Nil unless there are 32 digits of `0-9a-f`.
    public init?(_ text: some StringProtocol) {
        guard let bytes = Hexadecimal.decode(text), let id = KeyID(bytes: bytes) else { return nil }
        self = id
    }
}
