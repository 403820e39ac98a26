import CLibcrypto

/// A secret outside Swift's arrays, overwritten when its last owner lets go (OPENSSL_cleanse).
///
/// It bounds how long a secret stays in memory, not who may read it: `bytes` makes a copy that nothing wipes,
/// so callers keep the copy for one call.
///
/// The memory is written in `init` and in `deinit` only, which is what makes `@unchecked Sendable` true.
public final class SecretBytes: @unchecked Sendable {
    private let storage: UnsafeMutableRawBufferPointer

    public init(_ bytes: some Collection<UInt8>) {
        storage = .allocate(byteCount: bytes.count, alignment: 8)
        storage.copyBytes(from: bytes)
    }

    deinit {
        if let base = storage.baseAddress { OPENSSL_cleanse(base, storage.count) }
        storage.deallocate()
    }

    public var count: Int { storage.count }
    public var bytes: [UInt8] { [UInt8](storage) }

    public func withUnsafeBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(storage))
    }
}
