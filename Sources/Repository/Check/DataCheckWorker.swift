import BlobEngine
import RepoBase

/// One verifying thread: decodes, collects plaintexts, and hashes them side by side.
final class DataCheckWorker {
    private struct Pending {
        let copy: PackNumbering.Copy
        let plaintext: AlignedBuffer
    }

    /// Where a blob's sealed bytes are.
    private enum Sealed {
        case memory(UnsafeRawBufferPointer)
        case store
    }

    private let check: DataCheck
    private let numbering: PackNumbering
    private let coder = BlobCoder()
    private var recent: RecentPlaintexts
    private var windows: SealedWindows
    private var openers: [UInt32: BlobOpener] = [:]
    private lazy var ambiguous = BlobReader(check.repository, shared: .init(usesCopies: false))
    private var encoded = AlignedBuffer(capacity: 1 << 20)
    private var pending: [[Pending]] = BlobType.allCases.map { _ in [] }
    private var pendingBytes = 0
    private var visited: [UInt64]
    /// Bytes of plaintext that wait to be hashed: enough to fill the lanes several times over.
    private static let batchBytes = 8 << 20
    private static let batchCount = 512
    private static let recentBytes = 48 << 20

    init(_ check: DataCheck, threads: Int) {
        self.check = check
        numbering = check.numbering
        recent = RecentPlaintexts(limit: max(8 << 20, Self.recentBytes / threads))
        windows = SealedWindows(check.repository)
        visited = check.visitedWords()
    }

    func run() {
        do {
            while let job = check.nextJob() {
                switch job {
                case .load(let number): try load(number)
                case .slice(let pack, let range): try verify(pack, range)
                case .leftovers(let range): for index in range { try verifyLeftover(index) }
                }
            }
            flush()
        } catch {
            check.fail(error)
        }
        check.merge(visited: visited)
    }

    private func load(_ number: UInt32) throws {
        var slices: [DataCheck.Job] = []
        defer { check.finishLoading(slices) }
        guard let pack = try PackLoader(check).load(number) else { return }
        slices = Self.slices(of: pack)
    }

    /// Of about 16 MB of plaintext each.
    private static func slices(of pack: DataCheck.LoadedPack) -> [DataCheck.Job] {
        var slices: [DataCheck.Job] = []
        var start = 0
        var bytes = 0
        for (index, record) in pack.roots.enumerated() {
            bytes += Int(record.rawLength)
            guard bytes >= 16 << 20 || index == pack.roots.count - 1 else { continue }
            slices.append(.slice(pack, start..<(index + 1)))
            start = index + 1
            bytes = 0
        }
        return slices
    }

    private func verify(_ pack: DataCheck.LoadedPack, _ range: Range<Int>) throws {
        for record in pack.roots[range] {
            let copy = PackNumbering.Copy(pack: pack.number, record: record)
            guard let buffer = pack.buffer else {
                try verify(copy, .store, depth: 0)
                continue
            }
            try withExtendedLifetime(buffer) {
                let end = Int(record.offset) + Int(record.storedLength) + BlobRecord.tagLength
                guard end <= buffer.count else {
                    fail(copy, .damaged("a blob", "its pack ends early"))
                    return
                }
                try verify(
                    copy, .memory(UnsafeRawBufferPointer(rebasing: buffer.bytes[Int(record.offset)..<end])),
                    depth: 0)
            }
        }
    }

    /// Verifies a blob, then the deltas that wait for it.
    private func verify(_ copy: PackNumbering.Copy, _ sealed: Sealed, depth: Int) throws {
        let plaintext: AlignedBuffer
        do {
            plaintext = try decode(copy, sealed, depth: depth)
        } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
            fail(copy, error)
            return
        } catch let error as RepoError where error.code == .archived {
            check.record { $0.halfVerified.insert(copy.pack) }
            return
        }
        let record = copy.record
        pending[Int(record.type.rawValue)].append(Pending(copy: copy, plaintext: plaintext))
        pendingBytes += plaintext.capacity
        if pendingBytes >= Self.batchBytes || pending[Int(record.type.rawValue)].count >= Self.batchCount {
            flush()
        }
        guard !check.dependents.entries.isEmpty else { return }
        recent.insert(record.id, record.type, plaintext)
        guard depth + 1 < BlobReader.maximumChain else { return }
        for index in check.dependents.waiting(for: copy.pack, record.ordinal) {
            let entry = check.dependents.entries[index]
            visited[index >> 6] |= 1 << UInt64(index & 63)
            guard let dependent = row(entry) else { continue }
            try verify(dependent, .store, depth: depth + 1)
        }
    }

    private func verifyLeftover(_ index: Int) throws {
        guard !DataCheck.isSet(index, visited), let copy = row(check.dependents.entries[index]) else {
            return
        }
        visited[index >> 6] |= 1 << UInt64(index & 63)
        try verify(copy, .store, depth: 0)
    }

    private func row(_ entry: DependentDeltas.Entry) -> PackNumbering.Copy? {
        numbering.copy(PackNumbering.Row(table: Int(entry.table), position: Int(entry.position)))
    }

    // MARK: Decoding

    private func decode(_ copy: PackNumbering.Copy, _ sealed: Sealed, depth: Int) throws -> AlignedBuffer {
        guard depth < BlobReader.maximumChain else {
            throw RepoError.damaged("a blob", "its chain of deltas is too long")
        }
        let record = copy.record
        // Bases first: reading them uses the same windows and buffers.
        guard BaseChoices(of: record, in: numbering.view).isUnique else { return try decodeTryingBases(copy, depth: depth) }
        let bases = try bases(of: record, depth: depth + 1)
        let opener = try opener(copy.pack)
        let plaintext = AlignedBuffer(capacity: Int(record.rawLength))
        plaintext.count = Int(record.rawLength)
        let into: UnsafeMutableRawPointer
        if record.encoding == .plain {
            guard record.storedLength == record.rawLength else {
                throw RepoError.damaged("a blob", "it has two lengths")
            }
            into = plaintext.base
        } else {
            if encoded.capacity < Int(record.storedLength) {
                encoded = AlignedBuffer(capacity: Int(record.storedLength))
            }
            into = encoded.base
        }
        switch sealed {
        case .memory(let bytes): try opener.open(record, sealed: bytes, into: into, object: "a blob")
        case .store:
            try windows.withSealed(copy, of: numbering.packs[Int(copy.pack)]) {
                try opener.open(record, sealed: $0, into: into, object: "a blob")
            }
        }
        guard record.encoding != .plain else { return plaintext }
        try withExtendedLifetime((bases, encoded, plaintext)) {
            try coder.decode(
                UnsafeRawBufferPointer(start: encoded.base, count: Int(record.storedLength)),
                encoding: record.encoding,
                rawLength: Int(record.rawLength), bases: bases.map(\.bytes),
                into: plaintext.base,
                object: "a blob")
        }
        return plaintext
    }

    /// Where bases are not named without doubt, the reader that tries them all does the work.
    private func decodeTryingBases(_ copy: PackNumbering.Copy, depth: Int) throws -> AlignedBuffer {
        let pack = numbering.packs[Int(copy.pack)].id
        let location = numbering.view.locations(of: copy.record.id).first { $0.pack.id == pack && $0.record == copy.record }
        guard let location else { throw RepoError.damaged("a blob", "its pack and the index differ about it") }
        return try ambiguous.decode(location, depth: depth)
    }

    private func bases(of record: BlobRecord, depth: Int) throws -> [AlignedBuffer] {
        var bases: [AlignedBuffer] = []
        for position in 0..<record.bases.count {
            let prefix = record.bases[position]
            if let known = recent.find(prefix, record.type) {
                bases.append(known)
                continue
            }
            var failure = RepoError(.notFound, "a base of its delta is missing")
            var found: AlignedBuffer?
            var archived: RepoError?
            for copy in numbering.baseCopies(prefix) where copy.record.type == record.type {
                do {
                    found = try decode(copy, .store, depth: depth)
                    break
                } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                    failure = RepoError(
                        .notFound, "a base of its delta does not read: \(error.reason(about: "a blob"))")
                } catch let error as RepoError where error.code == .archived {
                    archived = error
                }
            }
            guard let found else { throw archived ?? failure }
            // Not hashed here: the delta's own id tells whether it was right.
            recent.insert(numbering.view.candidates(prefix: prefix)[0], record.type, found)
            bases.append(found)
        }
        return bases
    }

    private func opener(_ number: UInt32) throws -> BlobOpener {
        if let opener = openers[number] { return opener }
        let seal = numbering.packs[Int(number)].seal
        let keys = try check.repository.epochKeys(seal.epoch, of: "\(PackObject.key(numbering.packs[Int(number)].id))")
        let opener = try BlobOpener(seal: seal, keys: keys)
        if openers.count >= 256 { openers.removeAll(keepingCapacity: true) }
        openers[number] = opener
        return opener
    }

    // MARK: Results

    private func flush() {
        var verified: UInt64 = 0
        for type in BlobType.allCases {
            let batch = pending[Int(type.rawValue)]
            guard !batch.isEmpty else { continue }
            pending[Int(type.rawValue)].removeAll(keepingCapacity: true)
            let ids = withExtendedLifetime(batch) {
                check.repository.blobHasher.ids(type, batch.map(\.plaintext.bytes))
            }
            for (index, item) in batch.enumerated() where ids[index] != item.copy.record.id {
                fail(item.copy, .damaged("a blob", "its content does not match its id"))
            }
            verified += UInt64(batch.count)
        }
        pendingBytes = 0
        check.record { $0.blobs += verified }
    }

    private func fail(_ copy: PackNumbering.Copy, _ error: RepoError) {
        let place = DataCheck.BadCopy(pack: copy.pack, ordinal: copy.record.ordinal)
        let blob = DataCheck.BadBlob(
            id: copy.record.id, problem: error.reason(about: "a blob"), lacksBase: error.code == .notFound)
        check.record { $0.badCopies[place] = blob }
    }
}
