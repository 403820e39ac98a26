import CLibcrypto
public import RepoBase

/// Keys from secrets and from passwords.
public enum KeyDerivation {
    /// HKDF-SHA256 (RFC 5869), extract and expand, 32 bytes of output: its first block, T(1).
    public static func hkdf(_ ikm: [UInt8], salt: [UInt8], info: [UInt8]) -> [UInt8] {
        var extracted = hmac(key: salt, ikm)
        defer { OPENSSL_cleanse(&extracted, extracted.count) }
        return hmac(key: extracted, info + [1])
    }

    /// The same of secrets.
    public static func hkdf(_ ikm: SecretBytes, salt: [UInt8], info: [UInt8]) -> SecretBytes {
        let extracted = SecretBytes(count: 32) { space in
            ikm.withUnsafeBytes { message in salt.withUnsafeBytes { hmac(key: $0, message, into: space) } }
        }
        return SecretBytes(count: 32) { space in
            extracted.withUnsafeBytes { key in (info + [1]).withUnsafeBytes { hmac(key: key, $0, into: space) } }
        }
    }

    /// HMAC-SHA256 (RFC 2104). An empty key is the same as one of zeros.
    private static func hmac(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            key.withUnsafeBytes { key in message.withUnsafeBytes { hmac(key: key, $0, into: UnsafeMutableRawBufferPointer(buffer)) } }
            count = 32
        }
    }

    private static func hmac(key: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer) {
        var count = 0
        // libcrypto takes a null key for "keep the last one".
        withUnsafeBytes(of: UInt8(0)) { zero in
            let key = key.isEmpty ? zero : key
            let made = EVP_Q_mac(
                nil, OSSL_MAC_NAME_HMAC, nil, "SHA256", nil, key.baseAddress, key.count, message.bindMemory(to: UInt8.self).baseAddress, message.count,
                out.bindMemory(to: UInt8.self).baseAddress, 32, &count)
            precondition(made != nil && count == 32, "libcrypto made no HMAC")
        }
    }

    /// The most that `N × r × p` may be: 4 GiB of memory at p = 1, and some minutes.
    public static let scryptWorkLimit = 1 << 25

    /// scrypt (RFC 7914) with N = 2^logN and 32 bytes of output; takes 128 × N × r bytes of memory.
    ///
    /// Throws `.failed` for parameters beyond the format's limits (format.md, 4), which a damaged key file
    /// may name, and when the machine lacks the memory.
    public static func scrypt(
        password: [UInt8], salt: [UInt8], logN: Int, r: Int, p: Int
    ) throws(RepoError) -> [UInt8] {
        try scryptKey(password: password, salt: salt, logN: logN, r: r, p: p).bytes
    }

    /// The same as a secret.
    public static func scryptKey(
        password: [UInt8], salt: [UInt8], logN: Int, r: Int, p: Int
    ) throws(RepoError) -> SecretBytes {
        guard (1...22).contains(logN), (1...32).contains(r), (1...16).contains(p),
            (1 << logN) * r * p <= scryptWorkLimit
        else {
            throw RepoError(
                .failed, "scrypt with log2 N = \(logN), r = \(r), p = \(p) is beyond what repo accepts")
        }
        let memory = 128 * r * ((1 << logN) + p + 2)
        var status: Int32 = 0
        let key = SecretBytes(count: 32) { key in
            status = password.withUnsafeBytes { password in
                EVP_PBE_scrypt(
                    password.bindMemory(to: CChar.self).baseAddress, password.count, salt, salt.count,
                    1 << UInt64(logN),
                    UInt64(r), UInt64(p), UInt64(memory), key.bindMemory(to: UInt8.self).baseAddress, key.count)
            }
        }
        guard status == 1 else {
            throw RepoError(
                .failed, "scrypt failed: it needs \(ByteCount.describe(UInt64(memory))) of memory",
                advice: "Free some memory and try again, or unlock with a machine key.")
        }
        return key
    }
}
