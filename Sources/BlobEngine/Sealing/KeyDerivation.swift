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

    /// HMAC-SHA256 (RFC 2104). An empty key is the same as one of zeros.
    private static func hmac(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            count = 0
            let key = key.isEmpty ? [0] : key  // libcrypto takes a null key for "keep the last one"
            let made = EVP_Q_mac(
                nil, OSSL_MAC_NAME_HMAC, nil, "SHA256", nil, key, key.count, message, message.count,
                buffer.baseAddress, 32, &count)
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
        guard (1...22).contains(logN), (1...32).contains(r), (1...16).contains(p),
            (1 << logN) * r * p <= scryptWorkLimit
        else {
            throw RepoError(
                .failed, "scrypt with log2 N = \(logN), r = \(r), p = \(p) is beyond what repo accepts")
        }
        let memory = 128 * r * ((1 << logN) + p + 2)
        var key = [UInt8](repeating: 0, count: 32)
        let status = password.withUnsafeBytes { password in
            EVP_PBE_scrypt(
                password.bindMemory(to: CChar.self).baseAddress, password.count, salt, salt.count,
                1 << UInt64(logN),
                UInt64(r), UInt64(p), UInt64(memory), &key, key.count)
        }
        guard status == 1 else {
            throw RepoError(
                .failed, "scrypt failed: it needs \(ByteCount.describe(UInt64(memory))) of memory",
                advice: "Free some memory and try again, or unlock with a machine key.")
        }
        return key
    }
}
