import BlobEngine

/// A key's object that is about to be stored, and for a machine key the file that opens it.
struct NewKey {
    let object: [UInt8]
    let keyFile: MachineKeyFile?

    /// Costs one scrypt for a password. Throws `.usage` for an empty password.
    static func make(
        _ payload: KeyPayload, _ protection: KeyProtection, _ scrypt: ScryptParameters
    ) throws -> NewKey {
        switch protection {
        case .password(let password):
            return NewKey(
                object: try WrappedKey.wrap(payload, password: password, scrypt: scrypt), keyFile: nil)
        case .machine:
            let secret = SecretBytes.random(MachineKeyFile.secretByteCount)
            return NewKey(
                object: WrappedKey.wrap(payload, machineSecret: secret),
                keyFile: MachineKeyFile(
                    repositoryID: payload.repositoryID, keyID: payload.signingKey.id, secret: secret))
        }
    }
}
