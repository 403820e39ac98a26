@testable import BlobEngine
import RepoBase
@testable import Repository
import Storage

/// A repository whose every object is sealed and signed as by a writer with a full key, and holds what a fuzzer wants it to hold: what somebody with a key could make,
/// or a fault of the program.
///
/// Its secrets are the same in each process, so that the same bytes make the same repository.
struct ForgedRepository {
    private let keys: KeyRing
    /// Config and the key, which no change is sealed into.
    private let objects: [(StoreKey, [UInt8])]
    private let parts: ForgedParts
    private let dataKey = SecretBytes([UInt8](repeating: 9, count: 32))
    private let envelope: [UInt8]
    private let coder = BlobCoder()

    /// - Parameter identity: another one has other keys.
    init(identity: UInt8 = 0) throws {
        func secret(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte + identity, count: 32) }
        let authority = SigningKey(seed: secret(1))
        let payload = KeyPayload(
            repositoryID: RepositoryID(bytes: secret(2).prefix(16))!, authority: authority.publicKey, signingKey: SigningKey(seed: secret(3)),
            agreementKey: AgreementKey(privateKey: secret(4)), idSecret: SecretBytes(secret(5)), chunkerSecret: SecretBytes(secret(6)), authorityKey: authority)
        let made = try NewKey.make(payload, .password(Array("secret".utf8)), ScryptParameters(log2N: 10, r: 1, p: 1))
        let entry = KeyEntry(payload, .password, created: 1, label: "")
        let epoch = EpochEntry(
            1, EpochSecrets(number: 1, indexKey: SecretBytes(secret(7)), agreement: AgreementKey(privateKey: secret(8))), created: 1, keys: [entry],
            in: payload.repositoryID)
        let config = RepositoryConfig(
            repositoryID: payload.repositoryID, created: 1, generation: 1, previous: nil, authority: authority.publicKey,
            profiles: [
                .contentDefined(minimum: 4096, normal: 16384, maximum: 65536, strictBits: 14, looseBits: 10), .pageAligned(size: 16384),
            ], keys: [entry], epochs: [epoch]
        ).signed(by: authority)
        keys = try KeyRing(payload: payload, config: config)
        objects = [
            (WrappedKey.storeKey(entry.id), made.object), (ConfigHistory.generationKey(1), config.bytes), (ConfigHistory.key, config.bytes),
        ]
        parts = ForgedParts(BlobHasher(idSecret: keys.idSecret))
        let seal = PackSeal(epoch: 1, envelope: [], signer: KeyID.none)
        envelope = Envelope.seal(dataKey, to: keys.currentEpoch.publicKey, info: PackSeal.info, associated: seal.associated)
    }

    var blobCount: Int { parts.blobs.count }

    /// A store of a repository in which nothing is yet.
    func empty() throws -> (store: MemoryStore, keys: KeyRing) {
        let store = MemoryStore()
        for (key, bytes) in objects { try store.put(key, bytes, .create) }
        return (store, keys)
    }

    /// A store with everything in it.
    func store(_ edits: ForgedEdits) throws -> (store: MemoryStore, keys: KeyRing) {
        let store = MemoryStore()
        for (key, bytes) in objects {
            var bytes = bytes
            guard key != ConfigHistory.key || edits.apply(to: .storedConfig, &bytes, ids: ids(parts)) else { continue }
            try store.put(key, bytes, .replace)
        }
        var parts = parts
        for number in parts.blobs.indices {
            let ids = ids(parts)
            parts.change(number) { edits.apply(to: .plaintext(number), &$0, ids: ids) }
        }
        let ids = ids(parts)
        parts.changeSnapshot { edits.apply(to: .snapshot, &$0, ids: ids) }

        // Chunks are in one pack, lists and trees in another.
        var packs: [(pack: PackRecord, blobs: [BlobRecord])] = []
        for isData in [true, false] {
            let chosen = parts.blobs.indices.filter { (parts.blobs[$0].type == .chunk) == isData }
            let (bytes, record, blobs) = try pack(chosen, of: parts, edits, ids)
            packs.append((record, blobs))
            var stored = bytes
            if edits.apply(to: .storedPack, &stored, ids: ids) { try store.put(PackObject.key(record.id), stored, .replace) }
        }
        var index = index(packs, edits, ids)
        let name = ObjectHasher.hash(index)
        if edits.apply(to: .storedIndex, &index, ids: ids) { try store.put(StoreKey("\(IndexLoader.prefix)\(name)"), index, .replace) }
        var snapshot = try EnvelopedFrame(magic: "reposnap", word: "snapshot", name: "snapshot", byteLimit: SnapshotCodec.byteLimit)
            .encode(parts.snapshot, epoch: keys.currentEpoch, signer: keys.signer)
        let id = ObjectHasher.hash(snapshot)
        if edits.apply(to: .storedSnapshot, &snapshot, ids: ids) { try store.put(SnapshotObject.key(id), snapshot, .replace) }
        return (store, keys)
    }

    private func ids(_ parts: ForgedParts) -> [[UInt8]] { parts.blobs.map(\.id.bytes) }

    private func pack(
        _ numbers: [Int], of parts: ForgedParts, _ edits: ForgedEdits, _ ids: [[UInt8]]
    ) throws -> (bytes: [UInt8], PackRecord, [BlobRecord]) {
        let cipher = AuthenticatedCipher(key: dataKey)
        var bytes = PackTrailer.packMagic
        var records: [BlobRecord] = []
        for number in numbers {
            let blob = parts.blobs[number]
            var (encoding, encoded) = try encode(blob, parts)
            edits.apply(to: .encoded(number), &encoded, ids: ids)
            var bases = BlobBases()
            if encoding == .delta { for base in blob.bases { bases.append(parts.blobs[base].id.prefix) } }
            let record = BlobRecord(
                id: blob.id, type: blob.type, encoding: encoding, offset: UInt32(bytes.count), ordinal: UInt32(records.count),
                storedLength: UInt32(encoded.count), rawLength: UInt32(encoding == .plain ? encoded.count : blob.plaintext.count), bases: bases)
            bytes += record.withAssociatedData { cipher.seal(nonce: .ordinal(record.ordinal), associated: Array($0), encoded) }
            records.append(record)
        }
        var directory = PackDirectory.encode(records, padding: 0)
        edits.apply(to: .directory, &directory, ids: ids)
        let nonce = SealingNonce(keys.signer.id.bytes.prefix(12))
        let header = PackTrailer.header(
            directoryLength: UInt32(directory.count + 16), blobCount: UInt32(records.count), epoch: 1, envelope: envelope, nonce: nonce.bytes,
            signer: keys.signer.id)
        let sealed = AuthenticatedCipher(key: keys.currentEpoch.indexKey)
            .seal(nonce: nonce, associated: PackTrailer.directoryContext + header[..<96], directory)
        bytes += sealed + header + keys.signer.sign(PackTrailer.message(sealedDirectory: sealed, header: header)) + PackTrailer.magic
        let seal = PackSeal(epoch: 1, envelope: envelope, signer: keys.signer.id)
        return (bytes, PackRecord(id: ObjectHasher.hash(bytes), size: UInt64(bytes.count), seal: seal, isVerified: true), records)
    }

    /// As a writer would, where that is possible: what does not shrink is stored plain.
    private func encode(_ blob: ForgedParts.Blob, _ parts: ForgedParts) throws -> (BlobEncoding, [UInt8]) {
        guard blob.encoding != .plain, !blob.plaintext.isEmpty else { return (.plain, blob.plaintext) }
        var out = [UInt8](repeating: 0, count: blob.plaintext.count + 1024)
        let bases = blob.bases.map { parts.blobs[$0].plaintext }
        let joined = bases.flatMap { $0 }
        let (encoding, count) = try blob.plaintext.withUnsafeBytes { raw in
            try joined.withUnsafeBytes { base in
                try out.withUnsafeMutableBytes { try coder.encode(raw, bases: bases.isEmpty ? [] : [base], into: $0) }
            }
        }
        return encoding == .plain ? (.plain, blob.plaintext) : (encoding, Array(out[..<count]))
    }

    private func index(_ packs: [(pack: PackRecord, blobs: [BlobRecord])], _ edits: ForgedEdits, _ ids: [[UInt8]]) -> [UInt8] {
        var blobs = packs.enumerated().flatMap { number, pack in pack.blobs.map { (pack: UInt32(number), record: $0) } }
        blobs.sort { $0.record.id == $1.record.id ? $0.pack < $1.pack : $0.record.id < $1.record.id }
        var body = IndexSegment(replaces: [], packs: packs.map(\.pack), blobs: blobs).encodeBody()
        edits.apply(to: .index, &body, ids: ids)
        let nonce = SealingNonce(keys.signer.id.bytes.suffix(12))
        var writer = ByteWriter()
        writer.raw(IndexSegment.magic)
        writer.u32(IndexSegment.version)
        writer.u32(1)
        writer.raw(nonce.bytes)
        writer.raw(keys.signer.id.bytes)
        let header = writer.bytes
        let sealed = AuthenticatedCipher(key: keys.currentEpoch.indexKey).seal(nonce: nonce, associated: header, body)
        return header + keys.signer.sign(IndexSegment.signatureContext + ObjectHasher.hash(sealed).bytes + header) + sealed
    }
}
