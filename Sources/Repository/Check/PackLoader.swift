import BlobEngine
import RepoBase
import Storage

/// Fetches one pack in whole and verifies it as an object: its name, its directory, and what the index says of it.
struct PackLoader {
    private let check: DataCheck
    private static let piece = 4 << 20

    init(_ check: DataCheck) { self.check = check }

    /// Nil when the pack is gone, which is recorded.
    func load(_ number: UInt32) throws -> DataCheck.LoadedPack? {
        let pack = check.numbering.packs[Int(number)]
        let key = PackObject.key(pack.id)
        guard let object = try check.repository.store.stat(key) else {
            check.record { $0.missingPacks.insert(number) }
            return nil
        }
        var problems: [String] = []
        if object.size != pack.size {
            problems.append("it has \(object.size) bytes instead of the \(pack.size) that the index says")
        }
        let buffer: AlignedBuffer?
        do {
            buffer = try fetchAgainWhereAltered(key, object.size, named: pack.id, &problems)
        } catch let error as RepoError where error.code == .notFound {
            check.record { $0.missingPacks.insert(number) }
            return nil
        }
        var records: [BlobRecord]?
        do {
            let directory = try directory(key, object.size, buffer)
            if directory.seal != pack.seal {
                problems.append("its trailer and the index differ about its keys")
            } else if let problem = difference(directory.blobs, number) {
                problems.append(problem)
            } else {
                records = directory.blobs
            }
        } catch let error as RepoError where error.code == .damaged {
            problems.append(error.reason(about: "\(key)"))
        }
        // Readers go by the index, so that is what has to be right when the two differ.
        let roots = (records ?? indexed(number)).filter { $0.encoding != .delta }
        check.record { findings in
            if !problems.isEmpty { findings.packProblems[number] = problems }
            findings.bytesRead += object.size
            findings.packs += 1
        }
        check.progress.update { values in
            values.packsVerified += 1
            values.bytesRead += object.size
        }
        return DataCheck.LoadedPack(number: number, buffer: buffer, roots: roots, spare: check.packBuffers)
    }

    /// What came over a network may have been altered on the way.
    private func fetchAgainWhereAltered(
        _ key: StoreKey, _ size: UInt64, named id: ObjectID, _ problems: inout [String]
    ) throws -> AlignedBuffer? {
        let known = problems
        let buffer = try fetch(key, size, named: id, &problems)
        guard check.repository.isRemote, problems.count > known.count else { return buffer }
        if let buffer { check.packBuffers.give(buffer) }
        problems = known
        return try fetch(key, size, named: id, &problems)
    }

    /// Hashes the object, and keeps it unless it is too large.
    private func fetch(
        _ key: StoreKey, _ size: UInt64, named id: ObjectID, _ problems: inout [String]
    ) throws -> AlignedBuffer? {
        let store = check.repository.store
        let isHeld = size <= UInt64(DataCheck.memoryLimitOfPack)
        let buffer = isHeld ? check.packBuffers.take(Int(size)) : AlignedBuffer(capacity: Self.piece)
        var hasher = ObjectHasher()
        if isHeld {
            buffer.count = try store.read(
                key, at: 0, into: UnsafeMutableRawBufferPointer(start: buffer.base, count: Int(size)))
            withExtendedLifetime(buffer) { hasher.update(buffer.bytes) }
        } else {
            var offset: UInt64 = 0
            while offset < size {
                buffer.count = try store.read(key, at: offset, into: buffer.all)
                guard buffer.count > 0 else { break }
                withExtendedLifetime(buffer) { hasher.update(buffer.bytes) }
                offset += UInt64(buffer.count)
            }
        }
        if hasher.finish() != id { problems.append("its content does not match its name") }
        return isHeld ? buffer : nil
    }

    private func directory(
        _ key: StoreKey, _ size: UInt64, _ buffer: AlignedBuffer?
    ) throws -> (seal: PackSeal, blobs: [BlobRecord]) {
        try PackDirectoryReader(check.repository).read(key, size: size) { offset, count in
            guard let buffer else {
                return try check.repository.store.readRange(key, at: offset, count: count)
            }
            return withExtendedLifetime(buffer) {
                let end = min(Int(offset) + count, buffer.count)
                return Array(buffer.bytes[min(Int(offset), end)..<end])
            }
        }
    }

    /// How the index differs from the pack's directory, in every segment that names the pack.
    private func difference(_ blobs: [BlobRecord], _ number: UInt32) -> String? {
        for (tableNumber, table) in check.numbering.view.tables.enumerated() {
            for place in table.packs.indices where check.numbering.byTable[tableNumber][place] == number {
                let count = Int(check.dependents.rowCounts[tableNumber][place])
                guard count == blobs.count else {
                    return "its directory names \(blobs.count) blobs, the index \(count)"
                }
                for blob in blobs {
                    let isIndexed = table.positions(of: blob.id).contains {
                        table.pack(at: $0) == place && table.record(at: $0) == blob
                    }
                    guard isIndexed else {
                        return "the index differs from its directory about blob \(blob.id)"
                    }
                }
            }
        }
        return nil
    }

    /// What the index says is in the pack; a scan of the segments that name it.
    private func indexed(_ number: UInt32) -> [BlobRecord] {
        var records: Set<BlobRecord> = []
        for (tableNumber, table) in check.numbering.view.tables.enumerated() {
            for place in table.packs.indices where check.numbering.byTable[tableNumber][place] == number {
                for position in 0..<table.count where table.pack(at: position) == place {
                    if let record = table.record(at: position) { records.insert(record) }
                }
            }
        }
        return records.sorted { $0.ordinal < $1.ordinal }
    }
}

/// Reads a pack's trailer and directory.
struct PackDirectoryReader {
    private let repository: OpenRepository

    init(_ repository: OpenRepository) { self.repository = repository }

    /// - Parameter read: gives so many bytes from an offset, fewer where the object ends.
    /// Throws `.damaged`.
    func read(
        _ key: StoreKey, size: UInt64, _ read: (UInt64, Int) throws -> [UInt8]
    ) throws -> (seal: PackSeal, blobs: [BlobRecord]) {
        try repository.readingAgain({ try readOnce(key, size: size, read) }, again: { try readOnce(key, size: size, read) })
    }

    private func readOnce(
        _ key: StoreKey, size: UInt64, _ read: (UInt64, Int) throws -> [UInt8]
    ) throws -> (seal: PackSeal, blobs: [BlobRecord]) {
        let object = "\(key)"
        guard size >= UInt64(PackTrailer.length) else {
            throw RepoError.damaged(object, "it is too short for a pack")
        }
        let trailer = try PackTrailer(
            try read(size - UInt64(PackTrailer.length), PackTrailer.length), packSize: size, object: object)
        let range = trailer.directoryRange
        let sealed = try read(range.lowerBound, Int(trailer.directoryLength))
        let blobs = try repository.tellingKeys {
            try trailer.openDirectory(sealed, keys: repository.epochKeys, verifyingKey: repository.verifyingKey, object: object)
        }
        return (trailer.seal, blobs)
    }
}

extension Store {
    /// So many bytes from an offset; fewer where the object ends.
    func readRange(_ key: StoreKey, at offset: UInt64, count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try read(key, at: offset, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}
