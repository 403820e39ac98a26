/// The keys of one epoch (format.md, 3): what packs, index segments and roots of that epoch are sealed with.
public struct EpochKeys: Sendable {
    public let epoch: UInt32
    /// 32 bytes, X25519: data keys are sealed to it.
    public let publicKey: [UInt8]
    /// 32 bytes: seals directories and index segments.
    public let indexKey: SecretBytes
    /// Opens data keys. Nil for a writer, which can add and not read.
    public let agreement: AgreementKey?

    public init(epoch: UInt32, publicKey: [UInt8], indexKey: SecretBytes, agreement: AgreementKey?) {
        self.epoch = epoch
        self.publicKey = publicKey
        self.indexKey = indexKey
        self.agreement = agreement
    }
}
