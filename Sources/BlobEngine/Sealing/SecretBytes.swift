import CLibcrypto

/// A secret outside Swift's arrays and in memory of its own (`SecretMemory`), overwritten when its last owner lets go (OPENSSL_cleanse).
///
/// It bounds how long a secret stays in memory. `bytes` makes a copy that nothing wipes: for what is to be shown or written.
///
/// The memory is written in `init` and in `deinit` only, which is what makes `@unchecked Sendable` true.
public final class SecretBytes: @unchecked Sendable {
    private let storage: UnsafeMutableRawBufferPointer

    public init(_ bytes: some Collection<UInt8>) {
        storage = SecretMemory.allocate(bytes.count)
        storage.copyBytes(from: bytes)
    }

    /// `fill` writes all of it.
    public init<E: Error>(count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
        storage = SecretMemory.allocate(count)
        try fill(storage)
    }

    /// One behind the other.
    public convenience init(joining parts: [SecretBytes]) {
        self.init(count: parts.reduce(0) { $0 + $1.count }) { space in
            var at = 0
            for part in parts {
                UnsafeMutableRawBufferPointer(rebasing: space[at..<at + part.count]).copyMemory(from: UnsafeRawBufferPointer(part.storage))
                at += part.count
            }
        }
    }

    public static func random(_ count: Int) -> SecretBytes { SecretBytes(count: count) { RandomBytes.fill($0) } }

    deinit {
        if let base = storage.baseAddress { OPENSSL_cleanse(base, storage.count) }
        SecretMemory.release(storage)
    }

    public var count: Int { storage.count }
    public var bytes: [UInt8] { [UInt8](storage) }

    /// A copy of a part. Traps beyond the end.
    public func part(_ range: Range<Int>) -> SecretBytes {
        SecretBytes(count: range.count) { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[range])) }
    }

    public func withUnsafeBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(storage))
    }

    /// Overwrites an array that held a secret, with all copies that share its memory: for the way from where it came into a `SecretBytes`. Nobody may
    /// use any of them afterwards. An array that was made of a slice of all of another one shares its memory, too.
    public static func wipe(_ bytes: consuming [UInt8]) {
        bytes.withUnsafeBytes { if let base = $0.baseAddress { OPENSSL_cleanse(UnsafeMutableRawPointer(mutating: base), $0.count) } }
    }
}
