import BlobEngine
public import RepoBase
import Storage

/// Makes damaged packs whole again from parity, where there is enough of it; salvages what still reads of damaged packs into new ones, and takes the damaged ones out of the repository.
///
/// Order: new packs, their index, the index without the damaged packs, then the damaged object's move to `damaged/`, where it stays
/// for whoever wants to look at it. A crash in between leaves blobs twice, never not at all.
public struct PackRepair {
    public struct Result: Sendable {
        /// Packs that were damaged or missing, and are no longer named by the index.
        public var packs: [ObjectID] = []
        public var salvagedBlobs = 0
        public var lostBlobs = 0
        /// Packs that came back from parity as they were.
        public var healedPacks: [ObjectID] = []
        /// Why the others did not, where there is parity.
        public var unhealed: [ObjectID: String] = [:]
        /// Packs that were named by the caller and are whole.
        public var wholePacks: [ObjectID] = []
    }

    /// Where damaged packs are kept.
    public static let damagedPrefix = "damaged/"

    private let repository: OpenRepository
    private let threads: Int

    public init(_ repository: OpenRepository, threads: Int = availableProcessors()) {
        self.repository = repository
        self.threads = threads
    }

    /// - Parameter ids: packs to look at; nil: all, which reads everything.
    /// Throws `.refused` for a writer key, `.notFound` for a pack that the index does not name.
    public func run(
        _ ids: [ObjectID]? = nil, progress: CheckProgress = CheckProgress(), stamp: JournalStamp = .now()
    ) throws -> Result {
        _ = try repository.keys.requireFull("repair packs")
        let registration = try WriterRegistration.begin(repository)
        defer { registration.end() }
        let numbering = PackNumbering(try repository.reloadIndex())
        let wanted = try numbers(ids, numbering)
        let findings = try DataCheck(
            repository, numbering, packs: wanted, threads: threads, progress: progress
        ).run()
        var damaged = Set(
            wanted.filter { number in
                findings.packProblems[number] != nil || findings.missingPacks.contains(number)
            }
        ).union(findings.badCopies.filter { !$0.value.lacksBase }.map(\.key.pack))
        var result = Result()
        result.wholePacks =
            ids == nil ? [] : wanted.filter { !damaged.contains($0) }.map { numbering.packs[Int($0)].id }
        guard !damaged.isEmpty else { return result }
        let (healed, mended) = try heal(damaged, numbering, stamp, &result)
        damaged.subtract(healed)
        guard !damaged.isEmpty else { return result }

        let missing = findings.missingPacks.subtracting(mended)
        try salvage(damaged.subtracting(missing), numbering, &result)
        let gone = Set(damaged.map { numbering.packs[Int($0)].id })
        result.packs = gone.sorted()
        result.lostBlobs += rows(of: missing.intersection(damaged), numbering)
        try registration.checkFence()
        _ = try IndexMaintenance(repository).rewrite(try repository.index(), without: gone)
        let named = Set(try repository.reloadIndex().tables.flatMap { $0.packs.map(\.id) })
        for id in result.packs where !named.contains(id) { try setAside(id) }
        try Journal.append(
            to: repository.store, by: repository.keys, stamp, action: "repair packs",
            subjects: result.packs.map { "\($0)" },
            details: ["\(result.salvagedBlobs) blobs salvaged, \(result.lostBlobs) lost"])
        return result
    }

    /// Returns those that parity has made whole, and those of which it brought some blocks back.
    private func heal(
        _ damaged: Set<UInt32>, _ numbering: PackNumbering, _ stamp: JournalStamp, _ result: inout Result
    ) throws -> (healed: Set<UInt32>, mended: Set<UInt32>) {
        let ids = Set(damaged.map { numbering.packs[Int($0)].id })
        let healing = try ParityHealing(repository, threads: threads).run(ids)
        result.healedPacks = healing.healed.sorted()
        result.unhealed = healing.failed
        let mended = Set(healing.mended.compactMap { numbering.numbers[$0] })
        guard !healing.healed.isEmpty else { return ([], mended) }
        try Journal.append(
            to: repository.store, by: repository.keys, stamp, action: "repair packs: heal", subjects: result.healedPacks.map { "\($0)" },
            details: ["from parity"])
        return (Set(healing.healed.compactMap { numbering.numbers[$0] }), mended)
    }

    /// The pack that an id, its first digits (4 or more), or a key like `packs/ab/ab…` names, among those of the index. Throws `.usage` for what
    /// names none or several, `.notFound` for an id that the index does not know.
    public func identify(_ text: String) throws -> ObjectID {
        let digits = (text.split(separator: "/").last ?? "").lowercased()
        guard digits.utf8.count >= 4, digits.utf8.count <= 64, digits.allSatisfy(\.isHexDigit) else {
            throw RepoError(
                .usage, "'\(text)' does not name a pack",
                advice: "Use an id as 'repo check' names it, or the first 4 or more of its digits.")
        }
        let known = Set(try repository.index().tables.flatMap { $0.packs.map(\.id) })
        let matches = known.filter { "\($0)".hasPrefix(digits) }
        guard let id = matches.first else {
            throw RepoError(
                .notFound, "the index names no pack whose id begins with \(digits)",
                advice: "'repo check --read-data' names damaged packs.")
        }
        guard matches.count == 1 else {
            throw RepoError(.usage, "\(matches.count) packs' ids begin with '\(digits)'", advice: "Give more digits.")
        }
        return id
    }

    private func numbers(_ ids: [ObjectID]?, _ numbering: PackNumbering) throws -> [UInt32] {
        guard let ids else { return numbering.packs.indices.map { UInt32($0) } }
        return try ids.map { id in
            guard let number = numbering.numbers[id] else {
                throw RepoError(
                    .notFound, "the index names no pack \(id)",
                    advice: "'repo check --read-data' names damaged packs.")
            }
            return number
        }
    }

    private func rows(of packs: Set<UInt32>, _ numbering: PackNumbering) -> Int {
        guard !packs.isEmpty else { return 0 }
        var count = 0
        for (number, table) in numbering.view.tables.enumerated() {
            for position in 0..<table.count {
                if let place = table.pack(at: position), packs.contains(numbering.byTable[number][place]) {
                    count += 1
                }
            }
        }
        return count
    }

    /// What the index names of these packs, each verified by its own id before it gets this key's signature.
    private func salvage(_ packs: Set<UInt32>, _ numbering: PackNumbering, _ result: inout Result) throws {
        let output = PackOutput(repository)
        defer { output.close() }
        let salvage = BlobSalvage(repository)
        var records: [UInt32: Set<BlobRecord>] = [:]
        for (number, table) in numbering.view.tables.enumerated() {
            for position in 0..<table.count {
                guard let place = table.pack(at: position), packs.contains(numbering.byTable[number][place]),
                    let record = table.record(at: position)
                else { continue }
                records[numbering.byTable[number][place], default: []].insert(record)
            }
        }
        for (number, blobs) in records.sorted(by: { $0.key < $1.key }) {
            for record in blobs.sorted(by: { $0.ordinal < $1.ordinal }) {
                do {
                    try salvage.copy(record, of: numbering.packs[Int(number)], to: output)
                    result.salvagedBlobs += 1
                } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                    result.lostBlobs += 1
                }
            }
        }
        try output.finish()
    }

    /// Copied before it is deleted.
    private func setAside(_ id: ObjectID) throws {
        let key = PackObject.key(id)
        let bytes: [UInt8]
        do {
            bytes = try repository.store.get(key, atMost: Int.max)
        } catch let error as RepoError where error.code == .notFound {
            return
        }
        try repository.store.put(StoreKey("\(Self.damagedPrefix)\(id)"), bytes, .replace)
        try repository.store.delete(key)
    }
}

/// Copies single blobs out of a pack that may be damaged, each verified first. For one thread.
final class BlobSalvage {
    private let repository: OpenRepository
    private let reader: BlobReader
    private let coder = BlobCoder()

    init(_ repository: OpenRepository) {
        self.repository = repository
        reader = BlobReader(repository)
    }

    /// Throws `.damaged` or `.notFound` when it cannot be read.
    func copy(_ record: BlobRecord, of pack: PackRecord, to output: PackOutput) throws {
        let object = "blob \(record.id)"
        let key = PackObject.key(pack.id)
        let size = Int(record.storedLength) + BlobRecord.tagLength
        let sealed = try repository.store.readRange(key, at: UInt64(record.offset), count: size)
        guard sealed.count == size else { throw RepoError.damaged("\(key)", "it ends early") }
        let keys = try repository.epochKeys(pack.seal.epoch, of: "\(key)")
        let encoded = AlignedBuffer(capacity: Int(record.storedLength))
        encoded.count = Int(record.storedLength)
        let opener = try BlobOpener(seal: pack.seal, keys: keys)
        try sealed.withUnsafeBytes { try opener.open(record, sealed: $0, into: encoded.base, object: object) }
        let plain = AlignedBuffer(capacity: Int(record.rawLength))
        plain.count = Int(record.rawLength)
        try withExtendedLifetime((encoded, plain)) {
            try BaseChoices(of: record, in: try repository.index()).forEach(object) { ids in
                let bases = try ids.map { try reader.base($0, record.type) }
                try withExtendedLifetime(bases) {
                    try coder.decode(
                        encoded.bytes, encoding: record.encoding, rawLength: plain.count, bases: bases.map(\.bytes),
                        into: plain.base, object: object)
                }
                return repository.blobHasher.id(record.type, plain.bytes) == record.id
            }
            try output.append(
                id: record.id, type: record.type, encoding: record.encoding, rawLength: record.rawLength,
                bases: record.bases, encoded: encoded.bytes)
        }
    }
}
