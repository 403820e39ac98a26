public import BlobEngine
import RepoBase
public import Storage

/// A key that was made.
public struct AddedKey: Sendable {
    public let id: KeyID
    /// For a machine key: the text of its file, which is stored nowhere else.
    public let keyFile: String?
}

/// Changes of the repository's keys. Each needs a full key, is one generation of config, and is recorded in
/// the journal; each takes up what others changed meanwhile.
extension KeyRing {
    /// Every key that was ever added, removed ones too, in the order in which they were.
    public func listKeys() -> [KeyEntry] { config.keys }

    /// Makes a key and grants it every epoch.
    ///
    /// - Parameters:
    ///   - role: a writer can add backups and not read any.
    ///   - label: for people; at most 255 bytes, of which the rest is cut off.
    public mutating func addKey(
        to store: any Store, _ protection: KeyProtection, role: KeyRole, label: String,
        scrypt: ScryptParameters = .standard, stamp: JournalStamp = .now()
    ) throws -> AddedKey {
        try add(to: store, protection, role, label, scrypt, stamp, action: "key add")
    }

    /// Makes a full machine key to be kept on paper or in a safe, for the day when all others are lost.
    public mutating func exportKey(
        to store: any Store, label: String = "recovery", stamp: JournalStamp = .now()
    ) throws -> AddedKey {
        try add(to: store, .machine, .full, label, .standard, stamp, action: "key export")
    }

    private mutating func add(
        to store: any Store, _ protection: KeyProtection, _ role: KeyRole, _ label: String,
        _ scrypt: ScryptParameters, _ stamp: JournalStamp, action: String
    ) throws -> AddedKey {
        let authorityKey = try requireFull("add keys")
        var payload = payload
        payload.signingKey = .generate()
        payload.agreementKey = .generate()
        payload.authorityKey = role == .full ? authorityKey : nil
        let made = try NewKey.make(payload, protection, scrypt)
        let entry = KeyEntry(payload, protection.kind, created: stamp.time, label: label)
        // The object goes first: config never lists a key that cannot be used.
        try store.put(WrappedKey.storeKey(entry.id), made.object, .create)
        try change(store, authorityKey) { config, granted in
            config.keys.append(entry)
            for index in config.epochs.indices {
                guard let secrets = granted[config.epochs[index].number] else { continue }
                config.epochs[index].grants.append(secrets.grant(to: entry, in: config.repositoryID))
            }
        }
        try Journal.append(
            to: store, by: self, stamp, action: action, subjects: [entry.id.description],
            details: ["\(role) \(protection.kind) key", entry.label])
        return AddedKey(id: entry.id, keyFile: made.keyFile?.text)
    }

    /// Takes a key's access away. It cannot be undone; what the key signed stays valid.
    ///
    /// Who kept a copy of a full key's secrets can still read what was sealed in epochs that it was granted:
    /// `rotate` afterwards keeps new data from them.
    ///
    /// Throws `.notFound` for a key that is not there, and `.refused` for the last full key, and for the own
    /// key unless `evenOwn`.
    public mutating func removeKey(
        _ id: KeyID, from store: any Store, evenOwn: Bool = false, stamp: JournalStamp = .now()
    ) throws {
        let authorityKey = try requireFull("remove keys")
        guard id != keyID || evenOwn else {
            throw RepoError(
                .refused, "key \(id) is the one in use",
                advice: "Remove it with another key, or insist on it.")
        }
        let before = self
        let signed = try history(in: store).update(from: signedConfig, by: authorityKey) { config in
            _ = try KeyRing(payload: before.payload, config: SignedConfig(config: config, bytes: []))
            guard let index = config.keys.firstIndex(where: { $0.id == id && $0.state == .active }) else {
                throw RepoError(.notFound, "there is no active key \(id) in \(store.location)")
            }
            let others = config.activeKeys.filter { $0.id != id && $0.role == .full }
            guard config.keys[index].role == .writer || !others.isEmpty else {
                throw RepoError(
                    .refused, "key \(id) is the last full key: without it nobody could read the repository",
                    advice: "Add another full key first.")
            }
            config.keys[index].state = .removed
            for index in config.epochs.indices { config.epochs[index].grants.removeAll { $0.keyID == id } }
        }
        try store.delete(WrappedKey.storeKey(id))
        try Journal.append(to: store, by: self, stamp, action: "key remove", subjects: [id.description])
        // The own key ring stays as it was after its key was removed: it opens nothing new.
        if id != keyID { self = try KeyRing(payload: payload, config: signed) }
    }

    /// Starts a new epoch with new keys for all data from now on, granted to every active key. Returns its
    /// number.
    @discardableResult
    public mutating func rotate(in store: any Store, stamp: JournalStamp = .now()) throws -> UInt32 {
        let authorityKey = try requireFull("rotate keys")
        var number: UInt32 = 0
        try change(store, authorityKey) { config, _ in
            guard config.currentEpoch < .max else { throw RepoError(.failed, "there are no more epochs") }
            number = config.currentEpoch + 1
            let secrets = EpochSecrets.generate(number)
            config.epochs.append(
                EpochEntry(
                    number, secrets, created: stamp.time, keys: config.activeKeys, in: config.repositoryID))
        }
        try Journal.append(to: store, by: self, stamp, action: "key rotate", subjects: ["\(number)"])
        return number
    }

    /// Protects the own key by another password. Old copies of the key's object still open with the old
    /// password: where it leaked, remove the key instead, and rotate.
    ///
    /// Throws `.refused` when the own key is a machine key.
    public mutating func changePassword(
        to password: [UInt8], in store: any Store, scrypt: ScryptParameters = .standard,
        stamp: JournalStamp = .now()
    ) throws {
        try refresh(from: store)
        guard config.key(keyID)?.kind == .password else {
            throw RepoError(
                .refused, "key \(keyID) is a machine key and has no password",
                advice: "Unlock with the password that is to change.")
        }
        let object = try WrappedKey.wrap(payload, password: password, scrypt: scrypt)
        try store.put(WrappedKey.storeKey(keyID), object, .replace)
        try Journal.append(to: store, by: self, stamp, action: "key passwd", subjects: [keyID.description])
    }

    /// Says how much parity is kept: so many bytes for 10,000 of packs; nil for none (format.md, 13). One generation of config.
    ///
    /// Throws `.refused` for a writer key.
    public mutating func setParity(_ parity: UInt64?, in store: any Store, stamp: JournalStamp = .now()) throws {
        let authorityKey = try requireFull("change how much parity is kept")
        try change(store, authorityKey) { config, _ in config.parity = parity }
        try Journal.append(
            to: store, by: self, stamp, action: parity == nil ? "parity off" : "parity set", subjects: [],
            details: parity.map { ["\($0) bytes for 10,000 of packs"] } ?? [])
    }

    /// One generation of config, from the latest one and the secrets of its epochs, and this key ring as of
    /// it.
    private mutating func change(
        _ store: any Store, _ authorityKey: SigningKey,
        _ body: (inout RepositoryConfig, _ granted: [UInt32: EpochSecrets]) throws -> Void
    ) throws {
        let payload = payload
        let signed = try history(in: store).update(from: signedConfig, by: authorityKey) { config in
            // Throws when the own key was removed meanwhile.
            let latest = try KeyRing(payload: payload, config: SignedConfig(config: config, bytes: []))
            try body(&config, latest.epochs.compactMapValues { EpochSecrets($0) })
        }
        self = try KeyRing(payload: payload, config: signed)
    }
}

extension KeyEntry {
    /// The entry of a key that is being made.
    init(_ payload: KeyPayload, _ kind: KeyKind, created: Int64, label: String) {
        self.init(
            id: payload.signingKey.id, role: payload.role, kind: kind, state: .active,
            verifyingKey: payload.signingKey.publicKey, agreementKey: payload.agreementKey.publicKey,
            created: created, label: KeyEntry.shortened(label))
    }

    /// At most 255 bytes of UTF-8, in whole characters.
    private static func shortened(_ label: String) -> String {
        var label = label
        while label.utf8.count > RepositoryConfig.labelByteLimit { label.removeLast() }
        return label
    }
}

extension EpochEntry {
    /// An epoch that is being started, granted to `keys`.
    init(
        _ number: UInt32, _ secrets: EpochSecrets, created: Int64, keys: [KeyEntry],
        in repositoryID: RepositoryID
    ) {
        self.init(
            number: number, created: created, publicKey: secrets.agreement.publicKey,
            grants: keys.map { secrets.grant(to: $0, in: repositoryID) })
    }
}
