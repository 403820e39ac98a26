import BlobEngine
import RepoBase
import Storage

/// Sends packs to a twin: as they are where half of a pack or more is needed there, else the blobs that are, sealed anew under their ids.
struct PackTransfer {
    let source: OpenRepository
    let destination: OpenRepository
    /// Nil where nothing is sent.
    let registration: WriterRegistration?
    let progress: CopyProgress
    /// The other's index, and the packs in its store, listed after what is condemned was read (docs/collection.md): one that is there and not
    /// condemned is as good as sent.
    let index: IndexView
    let stored: Set<ObjectID>
    /// Nil where what is sent is known there, since it comes back from a copy.
    let keys: TwinKeys?

    private static let packsPerSegment = 64
    private static let threads = 2

    /// Sends what the `first` snapshot of the plan needs that is given by its number, and indexes it. On return it is durable.
    func send(_ plan: PackPlan, number: Int, outcome: inout CopyOutcome) throws {
        let needs = plan.needs.values.filter { $0.first == number }.sorted { $0.pack.id < $1.pack.id }
        let whole = needs.filter(goesWhole)
        for start in stride(from: 0, to: whole.count, by: Self.packsPerSegment) {
            try sendWhole(Array(whole[start..<min(start + Self.packsPerSegment, whole.count)]), &outcome)
        }
        try sendBlobs(of: needs.filter { !goesWhole($0) }, plan, &outcome)
    }

    /// Bytes that are to be sent of a plan, nearly.
    func estimate(_ plan: PackPlan) -> UInt64 {
        plan.needs.values.reduce(0) { sum, need in
            if goesWhole(need) { return stored.contains(need.pack.id) ? sum : sum + need.pack.size }
            return sum + need.bytes
        }
    }

    private func goesWhole(_ need: PackPlan.Need) -> Bool {
        // A name that was condemned there is never used again until its pack is gone.
        guard !index.condemned.contains(need.pack.id) else { return false }
        return stored.contains(need.pack.id) || need.bytes * 2 >= need.pack.size
    }

    private struct Sent {
        var packs: [(pack: PackRecord, blobs: [BlobRecord])] = []
        var bytes: UInt64 = 0
        var sent: UInt64 = 0
        var takenUp: UInt64 = 0
    }

    private func sendWhole(_ needs: [PackPlan.Need], _ outcome: inout CopyOutcome) throws {
        let sent = Monitor(Sent())
        let transfer = self
        var failure: (any Error)?
        do {
            try ParallelWork.run(needs.count, threads: Self.threads, worker: {}) { number, _ in
                let need = needs[number]
                let (pack, isNew) = try transfer.send(need)
                sent.withLock { sent in
                    sent.packs.append(pack)
                    if isNew { sent.sent += 1 } else { sent.takenUp += 1 }
                    if isNew { sent.bytes += need.pack.size }
                }
            }
        } catch {
            failure = error
        }
        // What was sent is indexed after a failure as well: the next run finds it.
        let done = sent.withLock { $0 }
        if !done.packs.isEmpty {
            try registration?.checkFence()
            let packs = done.packs.sorted { $0.pack.id < $1.pack.id }
            outcome.bytesSent += done.bytes + (try IndexSegmentStore.store(packs: packs, replacing: [], in: destination))
        }
        outcome.packsSent += done.sent
        outcome.packsTakenUp += done.takenUp
        if let failure { throw failure }
    }

    /// Verifies a pack by its name and its directory, and puts it unless it is there. Needs its bytes in memory.
    private func send(_ need: PackPlan.Need) throws -> (pack: (pack: PackRecord, blobs: [BlobRecord]), isNew: Bool) {
        let id = need.pack.id
        let key = PackObject.key(id)
        var seal = need.pack.seal
        var blobs: [BlobRecord] = []
        var isNew = false
        // One that went to an archival tier is known by its name, and by its size when the put finds it.
        if stored.contains(id), let there = try destination.store.stat(key), there.availability == .ready {
            guard there.size == need.pack.size else { throw Self.differs(key, destination) }
            (seal, blobs) = try PackDirectoryReader(destination).read(key, size: there.size) {
                try destination.store.readRange(key, at: $0, count: $1)
            }
        } else {
            func fetch() throws -> [UInt8] {
                let bytes = try source.store.get(key, atMost: PackObject.maximumSize)
                guard ObjectHasher.hash(bytes) == id else { throw RepoError.damaged("\(key)", "its content does not match its name") }
                return bytes
            }
            let bytes = try source.readingAgain(fetch, again: fetch)
            (seal, blobs) = try PackDirectoryReader(source).read(key, size: UInt64(bytes.count)) { offset, count in
                let start = min(Int(offset), bytes.count)
                return Array(bytes[start..<min(start + count, bytes.count)])
            }
            try keys?.bring()
            do {
                if blobs.allSatisfy({ $0.type == .chunk }) {
                    try destination.store.putData(key, bytes, .create)
                } else {
                    try destination.store.put(key, bytes, .create)
                }
                isNew = true
            } catch let error as RepoError where error.code == .conflict {
                // Sent by another run meanwhile.
                guard try destination.store.stat(key)?.size == UInt64(bytes.count) else { throw Self.differs(key, destination) }
            }
        }
        progress.update { $0.bytes += need.pack.size }
        let record = PackRecord(id: id, size: need.pack.size, seal: seal, isVerified: need.isTrusted && need.pack.isVerified)
        return ((record, blobs), isNew)
    }

    private static func differs(_ key: StoreKey, _ repository: OpenRepository) -> RepoError {
        RepoError.damagedObject(
            "\(key) in \(repository.store.location)", "it has another size than the pack of that name",
            "Run 'repo check --heal-from' there, then copy again.")
    }

    private func sendBlobs(of needs: [PackPlan.Need], _ plan: PackPlan, _ outcome: inout CopyOutcome) throws {
        guard !needs.isEmpty else { return }
        let blobs = plan.blobs(of: Set(needs.map(\.pack.id)))
        let output = PackOutput(destination)
        do {
            for need in needs {
                try send(blobs[need.pack.id] ?? [], of: need, to: output)
                try output.indexFinishedPacks()
                progress.update { $0.bytes += need.bytes }
            }
            try registration?.checkFence()
            try output.finish()
        } catch {
            if (try? registration?.isFenced()) == false { output.abandon() } else { output.close() }
            throw error
        }
        outcome.bytesSent += output.statistics.objectBytes
        outcome.blobsSealed += output.statistics.blobs
    }

    private func send(_ records: [BlobRecord], of need: PackPlan.Need, to output: PackOutput) throws {
        let keys = try source.epochKeys(need.pack.seal.epoch, of: "\(PackObject.key(need.pack.id))")
        let opener = try BlobOpener(seal: need.pack.seal, keys: keys)
        let reader = need.isTrusted ? nil : BlobReader(source)
        let locations = records.map { BlobLocation(record: $0, pack: need.pack) }
        var window = PackWindow()
        let key = PackObject.key(need.pack.id)
        for (position, location) in locations.enumerated() {
            let record = location.record
            // What only a writer key vouches for gets this key's word only after its id was recomputed.
            if let reader { _ = try reader.read(record.id, record.type) }
            if window.sealed(location) == nil, let stretch = PackWindow.stretch(locations[position...].lazy.map { Optional($0) }) {
                window.move(to: stretch, of: need.pack.id, key: key, in: source.store)
            }
            let encoded = AlignedBuffer(capacity: max(1, Int(record.storedLength)))
            func openAlone() throws {
                let bytes = try source.store.readRange(key, at: UInt64(record.offset), count: record.sealedLength)
                guard bytes.count == record.sealedLength else { throw RepoError.damaged("\(key)", "it ends early") }
                try bytes.withUnsafeBytes { try opener.open(record, sealed: $0, into: encoded.base, object: "blob \(record.id)") }
            }
            try source.readingAgain({
                guard let sealed = window.sealed(location) else { return try openAlone() }
                try opener.open(record, sealed: sealed, into: encoded.base, object: "blob \(record.id)")
            }, again: openAlone)
            encoded.count = Int(record.storedLength)
            try withExtendedLifetime(encoded) {
                try output.append(
                    id: record.id, type: record.type, encoding: record.encoding, rawLength: record.rawLength, bases: record.bases,
                    encoded: encoded.bytes)
            }
        }
    }
}
