import CLibcrypto

/// A private key as libcrypto takes it, made once: that derives the public half, which costs as much as using the key.
final class HeldKey: Sendable {
    // Libcrypto only reads it, each user with a context of its own.
    nonisolated(unsafe) let pointer: OpaquePointer
    private let key: RawKey

    init(_ curve: RawKey.Curve, _ secret: SecretBytes) {
        key = secret.withUnsafeBytes { RawKey(curve, privateKey: $0) }
        pointer = key.pointer
    }

    var publicKey: [UInt8] { key.publicKey }
}

/// A key of a curve whose encoding is 32 plain bytes (EVP_PKEY of Ed25519 or X25519), freed with its owner.
struct RawKey: ~Copyable, @unchecked Sendable {
    // Written in `init` and `deinit` only.
    static let byteCount = 32

    enum Curve {
        case ed25519
        case x25519

        fileprivate var type: Int32 {
            switch self {
            case .ed25519: EVP_PKEY_ED25519
            case .x25519: EVP_PKEY_X25519
            }
        }
    }

    let pointer: OpaquePointer

    /// Traps unless there are 32 bytes: any 32 bytes are a private key of either curve.
    init(_ curve: Curve, privateKey: UnsafeRawBufferPointer) {
        precondition(privateKey.count == RawKey.byteCount, "a private key has 32 bytes")
        let bytes = privateKey.bindMemory(to: UInt8.self).baseAddress
        guard let pointer = EVP_PKEY_new_raw_private_key(curve.type, nil, bytes, RawKey.byteCount) else {
            fatalError("libcrypto refused a private key")
        }
        self.pointer = pointer
    }

    /// Nil unless there are 32 bytes.
    init?(_ curve: Curve, publicKey: [UInt8]) {
        guard publicKey.count == RawKey.byteCount,
            let pointer = EVP_PKEY_new_raw_public_key(curve.type, nil, publicKey, RawKey.byteCount)
        else { return nil }
        self.pointer = pointer
    }

    deinit { EVP_PKEY_free(pointer) }

    /// 32 bytes.
    var publicKey: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: RawKey.byteCount) { buffer, count in
            count = RawKey.byteCount
            let status = EVP_PKEY_get_raw_public_key(pointer, buffer.baseAddress, &count)
            precondition(status == 1 && count == RawKey.byteCount, "libcrypto gave no public key")
        }
    }
}
