import CLibcrypto
public import RepoBase

/// SHA-256 (FIPS 180-4), for formats of others that are verified by it; objects of the repository have BLAKE2b.
public enum SHA256Digest {
    /// 32 bytes. Throws `.failed` when libcrypto refuses, as for want of memory.
    public static func of(_ bytes: UnsafeRawBufferPointer) throws(RepoError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 32
        guard EVP_Digest(bytes.baseAddress, bytes.count, &digest, &count, EVP_sha256(), nil) == 1, count == 32 else {
            throw RepoError(.failed, "libcrypto made no SHA-256")
        }
        return digest
    }
}
