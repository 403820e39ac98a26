import CLibcrypto

/// AES-256-GCM (NIST SP 800-38D) under one key, with a 12-byte nonce and a 16-byte tag behind the ciphertext.
///
/// Expands the key once, so that many messages under it cost nothing more than their bytes (about 3 GB/s a
/// core with AES-NI). Not thread-safe: one object per thread. A return code of libcrypto that says anything
/// but success for valid arguments traps: memory ran out, or the library is broken.
public final class AuthenticatedCipher {
    public static let keyByteCount = 32
    public static let tagByteCount = 16
    /// One call's bytes; libcrypto counts them in an `int`.
    public static let maximumByteCount = Int(Int32.max) - 64

    private let sealing: OpaquePointer
    private let opening: OpaquePointer

    /// Traps unless the key has 32 bytes.
    public init(key: SecretBytes) {
        precondition(key.count == AuthenticatedCipher.keyByteCount, "an AES-256 key has 32 bytes")
        guard let sealing = EVP_CIPHER_CTX_new(), let opening = EVP_CIPHER_CTX_new() else {
            fatalError("out of memory for a cipher")
        }
        self.sealing = sealing
        self.opening = opening
        // The default nonce length of GCM is 12 bytes, so it need not be set.
        key.withUnsafeBytes { key in
            let key = key.bindMemory(to: UInt8.self).baseAddress
            AuthenticatedCipher.check(EVP_EncryptInit_ex(sealing, EVP_aes_256_gcm(), nil, key, nil))
            AuthenticatedCipher.check(EVP_DecryptInit_ex(opening, EVP_aes_256_gcm(), nil, key, nil))
        }
    }

    /// The same of a key that is no secret, as in tests.
    public convenience init(key: [UInt8]) { self.init(key: SecretBytes(key)) }

    deinit {
        // Both wipe their key schedules.
        EVP_CIPHER_CTX_free(sealing)
        EVP_CIPHER_CTX_free(opening)
    }

    private static func check(_ status: Int32, _ call: StaticString = #function) {
        guard status == 1 else { fatalError("libcrypto failed in \(call)") }
    }

    /// Writes `plaintext.count + 16` bytes to `out`, which may be where `plaintext` lies, but not
    /// overlap it otherwise.
    public func seal(
        nonce: SealingNonce, associated: UnsafeRawBufferPointer, plaintext: UnsafeRawBufferPointer,
        into out: UnsafeMutableRawPointer
    ) {
        precondition(plaintext.count <= AuthenticatedCipher.maximumByteCount)
        let check = AuthenticatedCipher.check
        let target = out.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        nonce.withUnsafeBytes { nonce in
            check(
                EVP_EncryptInit_ex(sealing, nil, nil, nil, nonce.bindMemory(to: UInt8.self).baseAddress),
                "nonce")
        }
        if associated.count > 0 {
            let pointer = associated.bindMemory(to: UInt8.self).baseAddress
            check(
                EVP_EncryptUpdate(sealing, nil, &written, pointer, Int32(associated.count)), "associated data"
            )
        }
        if plaintext.count > 0 {
            let pointer = plaintext.bindMemory(to: UInt8.self).baseAddress
            check(EVP_EncryptUpdate(sealing, target, &written, pointer, Int32(plaintext.count)), "encryption")
        }
        check(EVP_EncryptFinal_ex(sealing, target + plaintext.count, &written), "finish")
        check(EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, 16, target + plaintext.count), "tag")
    }

    /// Writes `sealed.count - 16` bytes to `out`. False when the tag does not fit the bytes, the nonce and
    /// the associated data, or `sealed` is shorter than a tag; `out` then holds nothing to be used.
    public func open(
        nonce: SealingNonce, associated: UnsafeRawBufferPointer, sealed: UnsafeRawBufferPointer,
        into out: UnsafeMutableRawPointer
    ) -> Bool {
        let count = sealed.count - AuthenticatedCipher.tagByteCount
        guard count >= 0, count <= AuthenticatedCipher.maximumByteCount else { return false }
        let check = AuthenticatedCipher.check
        let source = sealed.bindMemory(to: UInt8.self).baseAddress!
        let target = out.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        nonce.withUnsafeBytes { nonce in
            check(
                EVP_DecryptInit_ex(opening, nil, nil, nil, nonce.bindMemory(to: UInt8.self).baseAddress),
                "nonce")
        }
        if associated.count > 0 {
            let pointer = associated.bindMemory(to: UInt8.self).baseAddress
            check(
                EVP_DecryptUpdate(opening, nil, &written, pointer, Int32(associated.count)), "associated data"
            )
        }
        if count > 0 {
            check(EVP_DecryptUpdate(opening, target, &written, source, Int32(count)), "decryption")
        }
        // The call only reads the tag, though its parameter is not const.
        let tag = UnsafeMutableRawPointer(mutating: source + count)
        check(EVP_CIPHER_CTX_ctrl(opening, EVP_CTRL_AEAD_SET_TAG, 16, tag), "tag")
        // Nothing is left to write: GCM is a stream, so the pointer is not used.
        return EVP_DecryptFinal_ex(opening, target + count, &written) == 1
    }

    /// `seal` on arrays; allocates the result.
    public func seal(nonce: SealingNonce, associated: [UInt8], _ plaintext: [UInt8]) -> [UInt8] {
        let count = plaintext.count + AuthenticatedCipher.tagByteCount
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            associated.withUnsafeBytes { associated in
                plaintext.withUnsafeBytes { plaintext in
                    seal(
                        nonce: nonce, associated: associated, plaintext: plaintext, into: buffer.baseAddress!)
                }
            }
            filled = count
        }
    }

    /// `seal` of a secret.
    public func seal(nonce: SealingNonce, associated: [UInt8], _ secret: SecretBytes) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: secret.count + AuthenticatedCipher.tagByteCount) { buffer, filled in
            associated.withUnsafeBytes { associated in
                secret.withUnsafeBytes { seal(nonce: nonce, associated: associated, plaintext: $0, into: buffer.baseAddress!) }
            }
            filled = secret.count + AuthenticatedCipher.tagByteCount
        }
    }

    /// `open` of a secret. Nil when it does not authenticate.
    public func openSecret(nonce: SealingNonce, associated: [UInt8], _ sealed: some Collection<UInt8>) -> SecretBytes? {
        let count = sealed.count - AuthenticatedCipher.tagByteCount
        guard count > 0 else { return nil }
        var opened = false
        let secret = SecretBytes(count: count) { space in
            opened = associated.withUnsafeBytes { associated in
                Array(sealed).withUnsafeBytes { open(nonce: nonce, associated: associated, sealed: $0, into: space.baseAddress!) }
            }
        }
        return opened ? secret : nil
    }

    /// `open` on arrays; allocates the result. Nil when it does not authenticate.
    public func open(nonce: SealingNonce, associated: [UInt8], _ sealed: some Collection<UInt8>) -> [UInt8]? {
        let count = sealed.count - AuthenticatedCipher.tagByteCount
        guard count >= 0 else { return nil }
        let sealed = Array(sealed)
        var opened = false
        // One byte more than needed, so that an empty message has an address too.
        let plaintext = [UInt8](unsafeUninitializedCapacity: count + 1) { buffer, filled in
            opened = associated.withUnsafeBytes { associated in
                sealed.withUnsafeBytes { sealed in
                    open(nonce: nonce, associated: associated, sealed: sealed, into: buffer.baseAddress!)
                }
            }
            filled = opened ? count : 0
        }
        return opened ? plaintext : nil
    }
}
