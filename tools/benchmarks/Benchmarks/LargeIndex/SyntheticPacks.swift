import BlobEngine
import Glibc
import NumbersTesting
import RepoBase
import Repository
import Storage

/// Chunks that no byte stands for: rows of index segments, and packs that are holes.
struct SyntheticPacks {
    /// 32 KiB as stored, 16 MiB a pack: what dumps and base backups come to after compression.
    static let blobsPerPack = 512
    static let storedLength: UInt32 = 32 << 10
    static let rawLength: UInt32 = 128 << 10
    /// Of so many packs, one is needed by nobody.
    static let deadPackInterval = 20

    private let repository: OpenRepository
    private let root: String
    private var random = SeededNumbers(seed: 10_000_000)

    init(_ repository: OpenRepository, root: String) {
        self.repository = repository
        self.root = root
    }

    /// Stores one segment of `count` chunks with its packs. Returns the ids that are to be needed, in the order of the packs.
    mutating func storeSegment(_ count: Int) throws -> [BlobID] {
        var packs: [PackRecord] = []
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        var needed: [BlobID] = []
        blobs.reserveCapacity(count)
        needed.reserveCapacity(count)
        while blobs.count < count {
            let number = UInt32(packs.count)
            let isNeeded = packs.count % Self.deadPackInterval != 0
            var offset: UInt32 = 8
            var base: BlobID?
            for ordinal in 0..<UInt32(min(Self.blobsPerPack, count - blobs.count)) {
                let id = random.hash()
                // A third of them rest on the one before: dumps and base backups that change from day to day.
                var bases = BlobBases()
                if ordinal % 3 == 2, let base { bases.append(base.prefix) }
                let record = BlobRecord(
                    id: id, type: .chunk, encoding: bases.count > 0 ? .delta : .zstd, offset: offset, ordinal: ordinal,
                    storedLength: Self.storedLength, rawLength: Self.rawLength, bases: bases)
                blobs.append((number, record))
                if isNeeded { needed.append(id) }
                offset += Self.storedLength + UInt32(BlobRecord.tagLength)
                base = id
            }
            packs.append(try makePack(size: UInt64(offset) + 64 << 10))
        }
        blobs.sort { $0.record.id < $1.record.id }
        let keys = repository.keys
        let object = IndexSegment(replaces: [], packs: packs, blobs: blobs).encode(
            epoch: keys.currentEpoch, signer: keys.signer)
        try repository.store.put(StoreKey("index/\(ObjectHasher.hash(object))"), object, .create)
        return needed
    }

    /// A hole of `size` bytes in the place of a pack.
    private mutating func makePack(size: UInt64) throws -> PackRecord {
        let id = random.hash()
        let name = "\(id)"
        let folder = "\(root)/packs/\(name.prefix(2))"
        _ = mkdir("\(root)/packs", 0o700)
        _ = mkdir(folder, 0o700)
        let file = open("\(folder)/\(name)", O_CREAT | O_EXCL | O_WRONLY, 0o400)
        guard file >= 0, ftruncate(file, off_t(size)) == 0, close(file) == 0 else {
            throw RepoError(.failed, "\(folder)/\(name): \(String(cString: strerror(errno)))")
        }
        let keys = repository.keys
        let envelope = [UInt8](repeating: 7, count: PackSeal.envelopeLength)
        let seal = PackSeal(epoch: keys.currentEpoch.epoch, envelope: envelope, signer: keys.signer.id)
        return PackRecord(id: id, size: size, seal: seal, isVerified: false)
    }
}
