import Glibc
public import RepoBase

/// One index segment as a sorted, memory-mapped file of the local cache (format.md, appendix A).
///
/// Opening costs one mapping; memory is what lookups touch. The file is a cache: whatever it says of a blob is verified when the blob is read, and every
/// access is bounds-safe for a corrupt one. The mapping is read-only and lives as long as the object, hence `@unchecked Sendable`.
public final class IndexTable: @unchecked Sendable {
    static let magic = Array("repotabl".utf8)
    static let version: UInt32 = 2
    static let headerLength = 96
    static let locatorLength = 28

    public let replaces: [ObjectID]
    public let packs: [PackRecord]
    public let signer: KeyID
    /// Blobs.
    public let count: Int
    private let mapping: UnsafeRawPointer
    private let mappedLength: Int
    private let ids: UnsafeRawPointer
    private let locators: UnsafeRawPointer
    private let bases: UnsafeRawPointer
    private let baseCount: Int

    /// Writes the table beside its place and renames it there; not fsynced, for it can be made again.
    public static func write(_ segment: IndexSegment, signer: KeyID, to path: String) throws(RepoError) {
        var meta = ByteWriter()
        meta.varint(segment.replaces.count)
        for id in segment.replaces { meta.hash(id) }
        meta.varint(segment.packs.count)
        for pack in segment.packs { IndexSegment.write(pack, into: &meta) }
        while meta.count % 8 != 0 { meta.u8(0) }
        var ids = ByteWriter(capacity: segment.blobs.count * 32)
        var locators = ByteWriter(capacity: segment.blobs.count * locatorLength)
        var bases = ByteWriter()
        for (pack, record) in segment.blobs {
            ids.hash(record.id)
            locators.u32(pack)
            locators.u32(record.offset)
            locators.u32(record.ordinal)
            locators.u32(record.storedLength)
            locators.u32(record.rawLength)
            let kind = UInt32(record.type.rawValue) | UInt32(record.encoding.rawValue) << 4
            locators.u32(kind | UInt32(record.bases.count) << 8)
            locators.u32(UInt32(bases.count / 8))
            for position in 0..<record.bases.count { bases.u64(record.bases[position]) }
        }
        var header = ByteWriter()
        header.raw(magic)
        header.u32(version)
        header.u32(0)
        header.u64(UInt64(meta.count))
        header.u64(UInt64(segment.blobs.count))
        header.u64(UInt64(bases.count / 8))
        header.raw(signer.bytes)
        header.u64(0)
        header.hash(ObjectHasher.hash(header.bytes + meta.bytes))
        let temporary = "\(path).\(getpid()).\(UInt64.random(in: 0 ... .max))"
        do {
            try writeFile(temporary, [header.bytes, meta.bytes, ids.bytes, locators.bytes, bases.bytes])
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let status = errno
            unlink(temporary)
            throw failure(path, status)
        }
    }

    private static func writeFile(_ path: String, _ parts: [[UInt8]]) throws(RepoError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure(path, errno) }
        defer { close(file) }
        for part in parts {
            var written = 0
            while written < part.count {
                let count = part.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + written, part.count - written) }
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw failure(path, errno) }
                written += count
            }
        }
    }

    private static func failure(_ path: String, _ status: CInt) -> RepoError {
        RepoError(
            .failed, "the index cache \(path) cannot be used: \(String(cString: strerror(status)))",
            advice: "Name another folder with --cache-dir, or free some space there.")
    }

    /// Maps the file and checks its header, its sizes and its packs. Throws `.damaged` for one that must be made again.
    public init(path: String) throws(RepoError) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Self.failure(path, errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw Self.failure(path, errno) }
        let length = Int(status.st_size)
        guard length >= Self.headerLength else { throw .damaged(path, "it is too short") }
        guard let mapped = mmap(nil, length, PROT_READ, MAP_PRIVATE, file, 0), mapped != MAP_FAILED else {
            throw Self.failure(path, errno)
        }
        do {
            let parsed = try Self.parse(UnsafeRawBufferPointer(start: mapped, count: length), path)
            replaces = parsed.replaces
            packs = parsed.packs
            signer = parsed.signer
            count = parsed.count
            baseCount = parsed.baseCount
            ids = UnsafeRawPointer(mapped) + parsed.idsOffset
            locators = ids + 32 * parsed.count
            bases = locators + Self.locatorLength * parsed.count
        } catch {
            munmap(mapped, length)
            throw error
        }
        mapping = UnsafeRawPointer(mapped)
        mappedLength = length
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: mapping), mappedLength) }

    private struct Parsed {
        var replaces: [ObjectID] = []
        var packs: [PackRecord] = []
        var signer: KeyID
        var count: Int
        var baseCount: Int
        var idsOffset: Int
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer, _ path: String) throws(RepoError) -> Parsed {
        let header = Array(bytes[..<headerLength])
        var reader = ByteReader(header, object: path)
        guard try reader.raw(8) == magic[...], try reader.u32() == version, try reader.u32() == 0 else {
            throw reader.fail("it is not an index table of this version")
        }
        let metaLength = try reader.u64()
        let count = try reader.u64()
        let baseCount = try reader.u64()
        guard let signer = KeyID(bytes: try reader.raw(16)) else { throw reader.fail("it has no signer") }
        _ = try reader.u64()
        let hash = try reader.hash()
        guard metaLength <= UInt64(bytes.count), count <= UInt64(IndexSegment.maximumBlobs), baseCount <= 4 * count,
            UInt64(headerLength) + metaLength + count * UInt64(32 + locatorLength) + baseCount * 8
                == UInt64(bytes.count)
        else { throw reader.fail("its size is wrong") }
        let meta = Array(bytes[headerLength..<headerLength + Int(metaLength)])
        guard ObjectHasher.hash(Array(header[..<64]) + meta) == hash else { throw reader.fail("its checksum is wrong") }
        var parsed = Parsed(
            signer: signer, count: Int(count), baseCount: Int(baseCount),
            idsOffset: headerLength + Int(metaLength))
        var metaReader = ByteReader(meta, object: path)
        for _ in 0..<(try metaReader.count(ofAtLeast: 32)) { parsed.replaces.append(try metaReader.hash()) }
        for _ in 0..<(try metaReader.count(ofAtLeast: 134)) {
            parsed.packs.append(try IndexSegment.readPack(&metaReader))
        }
        return parsed
    }

    public func id(at position: Int) -> BlobID {
        precondition(position >= 0 && position < count)
        return BlobID(loadingFrom: ids + 32 * position)
    }

    private func prefix(at position: Int) -> UInt64 {
        UInt64(bigEndian: ids.loadUnaligned(fromByteOffset: 32 * position, as: UInt64.self))
    }

    /// The place in `packs` of the blob's pack; nil where the file is corrupt.
    public func pack(at position: Int) -> Int? {
        let pack = Int(word(position, 0))
        return pack < packs.count ? pack : nil
    }

    private func word(_ position: Int, _ index: Int) -> UInt32 {
        precondition(position >= 0 && position < count)
        return UInt32(
            littleEndian: locators.loadUnaligned(
                fromByteOffset: Self.locatorLength * position + 4 * index, as: UInt32.self))
    }

    /// Nil where the file is corrupt.
    public func record(at position: Int) -> BlobRecord? {
        let kind = word(position, 5)
        guard let type = BlobType(rawValue: UInt8(kind & 15)),
            let encoding = BlobEncoding(rawValue: UInt8(kind >> 4 & 15)),
            word(position, 3) <= UInt32(BlobRecord.maximumRawLength + 4096),
            word(position, 4) <= UInt32(BlobRecord.maximumRawLength)
        else { return nil }
        var blobBases = BlobBases()
        let number = Int(kind >> 8 & 7)
        let first = Int(word(position, 6))
        guard number <= BlobBases.maximumCount, first + number <= baseCount else { return nil }
        for index in 0..<number {
            blobBases.append(
                UInt64(littleEndian: bases.loadUnaligned(fromByteOffset: 8 * (first + index), as: UInt64.self)))
        }
        return BlobRecord(
            id: id(at: position), type: type, encoding: encoding, offset: word(position, 1),
            ordinal: word(position, 2), storedLength: word(position, 3), rawLength: word(position, 4),
            bases: blobBases)
    }

    /// The first position whose id's first 8 bytes are not below `prefix`: interpolation, for ids are uniform, then a widening
    /// search from there, which is right for any distribution. About 3 memory accesses in a uniform table.
    public func lowerBound(_ prefix: UInt64) -> Int {
        guard count > 0 else { return 0 }
        let guess = Int(prefix.multipliedFullWidth(by: UInt64(count)).high)
        var low = 0
        var high = count
        var step = 8
        if self.prefix(at: guess) < prefix {
            low = guess + 1
            while low + step < count, self.prefix(at: low + step) < prefix {
                low += step + 1
                step *= 2
            }
            high = min(count, low + step)
        } else {
            high = guess
            while high - step >= 0, self.prefix(at: high - step) >= prefix {
                high -= step
                step *= 2
            }
            low = max(0, high - step)
        }
        while low < high {
            let middle = (low + high) / 2
            if self.prefix(at: middle) < prefix { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The positions of all entries with that id.
    public func positions(of id: BlobID) -> Range<Int> {
        var first = lowerBound(id.prefix)
        while first < count, prefix(at: first) == id.prefix, self.id(at: first) < id { first += 1 }
        var end = first
        while end < count, self.id(at: end) == id { end += 1 }
        return first..<end
    }

    /// Gives back the memory of what lookups have touched: it is read again when needed (madvise). For whole scans.
    public func releaseResident() {
        madvise(UnsafeMutableRawPointer(mutating: mapping), mappedLength, MADV_DONTNEED)
    }
}
