import BlobEngine
import RepoBase
import Storage

/// The object `keys/<id>`: a key's payload, sealed for one password or one machine (format.md, 4).
struct WrappedKey {
    static let byteLimit = 64 << 10
    static let prefix = "keys/"

    private static let magic = Array("repokeyw".utf8)
    /// Signed by the key itself. Those of the first programs are of version 1 and have no signature.
    private static let version: UInt32 = 2
    private static let versions: ClosedRange<UInt32> = 1...2
    private static let signatureContext = Array("repo key v2\0".utf8)
    private static let headerCount = 61
    private static let saltByteCount = 32
    private static let machineInfo = Array("repo machine key v1".utf8)

    static func storeKey(_ id: KeyID) -> StoreKey { StoreKey("\(prefix)\(id)") }

    let object: String
    let kind: KeyKind
    let role: KeyRole
    private let log2N: Int
    private let r: Int
    private let p: Int
    private let salt: [UInt8]
    private let nonce: SealingNonce
    private let header: [UInt8]
    private let sealed: [UInt8]
    /// Nil in version 1.
    private let signature: [UInt8]?

    // MARK: Wrapping

    /// Costs one scrypt. Throws `.usage` for an empty password.
    static func wrap(
        _ payload: KeyPayload, password: [UInt8], scrypt parameters: ScryptParameters
    ) throws(RepoError) -> [UInt8] {
        guard !password.isEmpty else {
            throw RepoError(.usage, "the password is empty", advice: "Give one, or make a machine key.")
        }
        let salt = RandomBytes.make(saltByteCount)
        let key = try KeyDerivation.scryptKey(
            password: password, salt: salt, logN: Int(parameters.log2N), r: Int(parameters.r),
            p: Int(parameters.p))
        return seal(
            payload, under: key, salt: salt, kind: .password,
            scrypt: [parameters.log2N, parameters.r, parameters.p])
    }

    static func wrap(_ payload: KeyPayload, machineSecret: SecretBytes) -> [UInt8] {
        let salt = RandomBytes.make(saltByteCount)
        let key = KeyDerivation.hkdf(machineSecret, salt: salt, info: machineInfo)
        return seal(payload, under: key, salt: salt, kind: .machine, scrypt: [0, 0, 0])
    }

    private static func seal(
        _ payload: KeyPayload, under key: SecretBytes, salt: [UInt8], kind: KeyKind, scrypt: [UInt8]
    ) -> [UInt8] {
        let nonce = SealingNonce.random()
        var writer = ByteWriter()
        writer.raw(magic)
        writer.u32(version)
        writer.u8(kind.rawValue)
        writer.u8(payload.role.rawValue)
        writer.raw(scrypt)
        writer.raw(salt)
        writer.raw(nonce.bytes)
        let sealed = AuthenticatedCipher(key: key).seal(
            nonce: nonce, associated: writer.bytes, payload.encoded())
        writer.raw(sealed)
        writer.raw(payload.signingKey.sign(message(sealed: sealed, header: Array(writer.bytes[..<headerCount]))))
        return writer.bytes
    }

    /// What is signed.
    private static func message(sealed: [UInt8], header: [UInt8]) -> [UInt8] { signatureContext + ObjectHasher.hash(sealed).bytes + header }

    // MARK: Unwrapping

    init(_ bytes: [UInt8], object: String) throws(RepoError) {
        self.object = object
        var reader = ByteReader(bytes, object: object)
        guard try reader.raw(8).elementsEqual(WrappedKey.magic) else {
            throw reader.fail("it does not begin as a key")
        }
        let version = try reader.u32()
        guard WrappedKey.versions.contains(version) else {
            throw reader.fail("its version \(version) is unknown; a newer repo may have written it")
        }
        guard let kind = KeyKind(rawValue: try reader.u8()), let role = KeyRole(rawValue: try reader.u8())
        else {
            throw reader.fail("its kind or role is unknown")
        }
        (self.kind, self.role) = (kind, role)
        (log2N, r, p) = (Int(try reader.u8()), Int(try reader.u8()), Int(try reader.u8()))
        salt = Array(try reader.raw(WrappedKey.saltByteCount))
        nonce = SealingNonce(try reader.raw(SealingNonce.byteCount))
        header = Array(bytes[..<WrappedKey.headerCount])
        let rest = Array(try reader.raw(reader.remaining))
        if version > 1 {
            guard rest.count > Signature.byteCount else { throw reader.fail("it ends early") }
            signature = rest.suffix(Signature.byteCount)
            sealed = rest.dropLast(Signature.byteCount)
        } else {
            (signature, sealed) = (nil, rest)
        }
        switch kind {
        case .machine:
            guard log2N == 0, r == 0, p == 0 else {
                throw reader.fail("a machine key has no scrypt parameters")
            }
        case .password:
            guard (10...22).contains(log2N), (1...32).contains(r), (1...16).contains(p),
                (1 << log2N) * r * p <= KeyDerivation.scryptWorkLimit
            else { throw reader.fail("its scrypt parameters \(log2N), \(r), \(p) are beyond the limits") }
        }
    }

    /// Whether this is as the key made it, of which nothing needs to be opened. Those without a signature are taken for that: nobody can tell.
    func isSigned(by verifyingKey: [UInt8]) -> Bool {
        guard let signature else { return true }
        return Signature.isValid(signature, of: WrappedKey.message(sealed: sealed, header: header), by: verifyingKey)
    }

    /// Costs one scrypt. Nil for a wrong password, which damaged bytes cannot be told from.
    func unwrap(password: [UInt8]) throws(RepoError) -> KeyPayload? {
        try payload(under: KeyDerivation.scryptKey(password: password, salt: salt, logN: log2N, r: r, p: p))
    }

    /// Nil for a wrong secret, which damaged bytes cannot be told from.
    func unwrap(machineSecret: SecretBytes) throws(RepoError) -> KeyPayload? {
        try payload(
            under: KeyDerivation.hkdf(machineSecret, salt: salt, info: WrappedKey.machineInfo))
    }

    private func payload(under key: SecretBytes) throws(RepoError) -> KeyPayload? {
        guard let bytes = AuthenticatedCipher(key: key).openSecret(nonce: nonce, associated: header, sealed) else {
            return nil
        }
        return try KeyPayload(bytes, role: role, object: object)
    }
}
