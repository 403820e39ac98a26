import BlobEngine
import Glibc
import RepoBase
import Storage

/// Copies needed blobs out of packs that go into new ones: opened, and sealed again as they were encoded.
///
/// What a full key wrote or verified is authenticated; what only a writer key vouches for is decoded and its id recomputed, since the copy carries
/// this key's signature.
struct BlobCopying {
    private let repository: OpenRepository
    private let marking: Marking
    private let coder = BlobCoder(level: 3)
    private let reader: BlobReader

    /// Sealed bytes copied.
    private(set) var bytes: UInt64 = 0
    private(set) var blobs = 0
    /// Packs of which something could not be copied, by their place in the census; they must stay.
    private(set) var failures: [Int: RepoError] = [:]
    /// After a failure: packs of copies that were stored, and that no index segment names.
    private(set) var unindexed: [PackRecord] = []
    /// Of packs that no full key vouches for, since all copies of a blob in such are kept.
    private var copiedUnproven: Set<BlobID> = []

    /// The most that is read at once, and the garbage that is read along rather than asking the store again.
    private static let windowSize = 8 << 20
    private static let largestGap = 64 << 10

    init(_ repository: OpenRepository, _ marking: Marking) {
        self.repository = repository
        self.marking = marking
        reader = BlobReader(repository)
    }

    private struct Item {
        let pack: UInt32
        let offset: UInt32
        let place: IndexPlace
    }

    /// Copies what is kept of the packs `from`, and `rescues`, and indexes it. On return the copies are durable.
    ///
    /// Memory: 16 bytes for each blob that is copied, and the packs that are being filled.
    mutating func run(from: Set<Int>, rescues: [IndexPlace]) throws {
        var items: [Item] = []
        for place in rescues { append(place, &items) }
        if !from.isEmpty { collect(from, &items) }
        guard !items.isEmpty else { return }
        items.sort { ($0.pack, $0.offset) < ($1.pack, $1.offset) }
        let output = PackOutput(repository)
        do {
            try copy(items, to: output)
        } catch {
            output.close()
            unindexed = output.unindexedPacks
            throw error
        }
        output.close()
    }

    private mutating func copy(_ items: [Item], to output: PackOutput) throws {
        var start = 0
        while start < items.count {
            let end = items[start...].firstIndex { $0.pack != items[start].pack } ?? items.count
            do {
                try copyPack(items[start..<end], output)
            } catch let error as RepoError where [.damaged, .notFound, .archived].contains(error.code) {
                failures[Int(items[start].pack)] = error
            }
            try output.indexFinishedPacks()
            start = end
        }
        try output.finish()
    }

    private func append(_ place: IndexPlace, _ items: inout [Item]) {
        guard let record = marking.index.tables[Int(place.table)].record(at: Int(place.position)),
            let pack = marking.packs.place(marking.index, place)
        else { return }
        items.append(Item(pack: UInt32(pack.number), offset: record.offset, place: place))
    }

    private func collect(_ from: Set<Int>, _ items: inout [Item]) {
        for (number, table) in marking.index.tables.enumerated() {
            for position in 0..<table.count where marking.chosen.contains(table: number, position: position) {
                let place = IndexPlace(number, position)
                guard let pack = marking.packs.place(marking.index, place), from.contains(pack.number) else {
                    continue
                }
                append(place, &items)
            }
            table.releaseResident()
        }
    }

    private mutating func copyPack(_ items: ArraySlice<Item>, _ output: PackOutput) throws {
        let pack = marking.packs.uses[Int(items.first!.pack)].pack
        let keys = try repository.epochKeys(pack.seal.epoch, of: "\(PackObject.key(pack.id))")
        let opener = try BlobOpener(seal: pack.seal, keys: keys)
        var entries: [(record: BlobRecord, isTrusted: Bool)] = []
        for item in items {
            let record = marking.index.tables[Int(item.place.table)].record(at: Int(item.place.position))!
            let standing = marking.packs.place(marking.index, item.place)!.standing
            entries.append((record, standing == .trusted || isTrusted(item.place)))
        }
        var start = 0
        while start < entries.count {
            let first = entries[start].record
            var end = start + 1
            var limit = Int(first.offset) + first.sealedLength
            while end < entries.count {
                let next = entries[end].record
                guard Int(next.offset) >= limit, Int(next.offset) - limit <= Self.largestGap,
                    Int(next.offset) + next.sealedLength - Int(first.offset) <= Self.windowSize
                else { break }
                limit = Int(next.offset) + next.sealedLength
                end += 1
            }
            let window = try read(pack.id, Int(first.offset)..<limit)
            for entry in entries[start..<end] {
                let from = Int(entry.record.offset) - Int(first.offset)
                let sealed = UnsafeRawBufferPointer(
                    rebasing: window.bytes[from..<from + entry.record.sealedLength])
                try repository.readingAgain {
                    try copy(entry.record, isTrusted: entry.isTrusted, sealed, opener, output)
                } again: {
                    let alone = try read(pack.id, Int(entry.record.offset)..<Int(entry.record.offset) + entry.record.sealedLength)
                    defer { extendLifetime(alone) }
                    try copy(entry.record, isTrusted: entry.isTrusted, UnsafeRawBufferPointer(alone.bytes), opener, output)
                }
            }
            withExtendedLifetime(window) {}
            start = end
        }
    }

    /// A condemned pack's standing says that it goes; whether a full key vouches for it is asked again.
    private func isTrusted(_ place: IndexPlace) -> Bool {
        let table = marking.index.tables[Int(place.table)]
        guard let pack = table.pack(at: Int(place.position)) else { return false }
        return repository.trusts(segmentSigner: table.signer, table.packs[pack])
    }

    private func read(_ pack: ObjectID, _ range: Range<Int>) throws -> AlignedBuffer {
        let buffer = AlignedBuffer(capacity: range.count)
        let space = UnsafeMutableRawBufferPointer(start: buffer.base, count: range.count)
        let key = PackObject.key(pack)
        guard try repository.store.read(key, at: UInt64(range.lowerBound), into: space) == range.count else {
            throw RepoError.damaged("\(key)", "it ends early")
        }
        buffer.count = range.count
        return buffer
    }

    private mutating func copy(
        _ record: BlobRecord, isTrusted: Bool, _ sealed: UnsafeRawBufferPointer, _ opener: BlobOpener,
        _ output: PackOutput
    ) throws {
        if !isTrusted, copiedUnproven.contains(record.id) { return }
        let encoded = AlignedBuffer(capacity: max(1, Int(record.storedLength)))
        try opener.open(record, sealed: sealed, into: encoded.base, object: "blob \(record.id)")
        encoded.count = Int(record.storedLength)
        if !isTrusted {
            try verify(record, encoded)
            copiedUnproven.insert(record.id)
        }
        try output.append(
            id: record.id, type: record.type, encoding: record.encoding, rawLength: record.rawLength,
            bases: record.bases, encoded: encoded.bytes)
        withExtendedLifetime(encoded) {}
        bytes += UInt64(record.sealedLength)
        blobs += 1
    }

    private func verify(_ record: BlobRecord, _ encoded: AlignedBuffer) throws {
        let plain = AlignedBuffer(capacity: max(1, Int(record.rawLength)))
        try BaseChoices(of: record, in: marking.index).forEach("blob \(record.id)") { ids in
            let bases = try ids.map { try reader.base($0, record.type) }
            try withExtendedLifetime(bases) {
                try coder.decode(
                    encoded.bytes, encoding: record.encoding, rawLength: Int(record.rawLength),
                    bases: bases.map(\.bytes), into: plain.base, object: "blob \(record.id)")
            }
            plain.count = Int(record.rawLength)
            return repository.blobHasher.id(record.type, plain.bytes) == record.id
        }
        withExtendedLifetime(plain) {}
    }
}
