import BlobEngine
import RepoBase

/// The secrets of one epoch as a full key knows them, to be granted to other keys (format.md, 3).
struct EpochSecrets {
    let number: UInt32
    let indexKey: SecretBytes
    let agreement: AgreementKey

    private static let info = "repo grant v1"
    private static let indexKeyByteCount = 32

    /// New random keys.
    static func generate(_ number: UInt32) -> EpochSecrets {
        EpochSecrets(
            number: number, indexKey: .random(indexKeyByteCount), agreement: .generate()
        )
    }

    init(number: UInt32, indexKey: SecretBytes, agreement: AgreementKey) {
        (self.number, self.indexKey, self.agreement) = (number, indexKey, agreement)
    }

    /// Nil for a writer's keys, which cannot be passed on.
    init?(_ keys: EpochKeys) {
        guard let agreement = keys.agreement else { return nil }
        self.init(number: keys.epoch, indexKey: keys.indexKey, agreement: agreement)
    }

    /// What `key` may know, in an envelope for it.
    func grant(to key: KeyEntry, in repositoryID: RepositoryID) -> EpochGrant {
        let secret = key.role == .full ? SecretBytes(joining: [indexKey, agreement.secret]) : indexKey
        let associated = EpochSecrets.associated(repositoryID, number, key.id)
        return EpochGrant(
            keyID: key.id,
            envelope: Envelope.seal(
                secret, to: key.agreementKey, info: EpochSecrets.info, associated: associated))
    }

    private static func associated(_ repositoryID: RepositoryID, _ number: UInt32, _ id: KeyID) -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(repositoryID.bytes)
        writer.u32(number)
        writer.raw(id.bytes)
        return writer.bytes
    }

    /// Opens every grant that `config` holds for the key: about 0.2 ms each.
    static func open(
        _ config: RepositoryConfig, for payload: KeyPayload, object: String
    ) throws(RepoError) -> [UInt32: EpochKeys] {
        let id = payload.signingKey.id
        var epochs: [UInt32: EpochKeys] = [:]
        for entry in config.epochs {
            guard let grant = entry.grant(for: id) else { continue }
            let associated = associated(config.repositoryID, entry.number, id)
            let count = payload.role == .full ? indexKeyByteCount + AgreementKey.byteCount : indexKeyByteCount
            guard
                let secret = Envelope.open(
                    grant.envelope, with: payload.agreementKey, info: info, associated: associated),
                secret.count == count
            else { throw .damaged(object, "its grant of epoch \(entry.number) to key \(id) does not open") }
            let agreement: AgreementKey? =
                payload.role == .full ? AgreementKey(secret: secret.part(indexKeyByteCount..<count)) : nil
            guard agreement == nil || agreement?.publicKey == entry.publicKey else {
                throw .damaged(object, "the keys of epoch \(entry.number) do not belong together")
            }
            epochs[entry.number] = EpochKeys(
                epoch: entry.number, publicKey: entry.publicKey,
                indexKey: secret.part(0..<indexKeyByteCount), agreement: agreement)
        }
        guard epochs[config.currentEpoch] != nil else {
            throw .damaged(
                object, "it grants the current epoch \(config.currentEpoch) to key \(id) not at all")
        }
        return epochs
    }
}
