import Glibc
public import RepoBase

/// One index segment as a sorted, memory-mapped file of the local cache (format.md, appendix A).
///
/// Opening costs one mapping; memory is what lookups touch: about 2.3 bytes a blob when they miss. The file is a
/// cache: whatever it says of a blob is verified when the blob is read, and every access stays in bounds whatever
/// the columns hold. Tables are replaced by renaming and never written in place, so a mapping never shrinks.
/// The mapping is read-only and lives as long as the object, hence `@unchecked Sendable`.
public final class IndexTable: @unchecked Sendable {
    public let replaces: [ObjectID]
    public let packs: [PackRecord]
    public let signer: KeyID
    /// Blobs.
    public let count: Int
    private let path: String
    private let mapping: UnsafeRawPointer
    private let mappedLength: Int
    private let fences: UnsafeRawPointer
    private let fingerprints: UnsafeRawPointer
    private let ids: UnsafeRawPointer
    private let locators: UnsafeRawPointer
    private let bases: UnsafeRawPointer
    private let baseCount: Int
    private let buckets: UInt64
    private let columnsHash: ObjectID

    /// Beyond this many entries a bucket is searched by halving: ids are uniform, but for malice.
    private static let scanLimit = 128

    /// Maps the file and checks header, sizes and packs. Throws `.damaged` for one that must be made again,
    /// `.failed` for one that cannot be opened.
    public convenience init(path: String) throws(RepoError) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Self.failure(path, errno) }
        defer { close(file) }
        try self.init(file: file, path: path)
    }

    /// - Parameter file: open for reading, and of no more use afterwards.
    init(file: CInt, path: String) throws(RepoError) {
        var status = stat()
        guard fstat(file, &status) == 0 else { throw Self.failure(path, errno) }
        let length = Int(status.st_size)
        guard length >= IndexTableLayout.headerLength else { throw .damaged(path, "it is too short") }
        guard let mapped = mmap(nil, length, PROT_READ, MAP_PRIVATE, file, 0), mapped != MAP_FAILED else {
            throw Self.failure(path, errno)
        }
        let layout: IndexTableLayout
        do {
            let bytes = UnsafeRawBufferPointer(start: mapped, count: length)
            let head = try IndexTableHead(bytes, object: path)
            replaces = head.replaces
            packs = head.packs
            signer = head.signer
            layout = head.layout
            columnsHash = head.columnsHash
        } catch {
            munmap(mapped, length)
            throw error
        }
        self.path = path
        mapping = UnsafeRawPointer(mapped)
        mappedLength = length
        count = layout.count
        baseCount = layout.baseCount
        buckets = UInt64(layout.buckets)
        fences = mapping + layout.fences
        fingerprints = mapping + layout.fingerprints
        ids = mapping + layout.ids
        locators = mapping + layout.locators
        bases = mapping + layout.bases
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: mapping), mappedLength) }

    static func failure(_ path: String, _ status: CInt) -> RepoError {
        RepoError(
            status == ENOSPC || status == EDQUOT ? .storeFull : .failed, "the index cache \(path) cannot be used: \(String(cString: strerror(status)))",
            advice: "Name another folder with --cache-dir, or free some space there.")
    }

    /// Reads the whole file (about 0.7 GB/s) and throws `.damaged` when a column is not what was written. Lookups do
    /// without, since what they find is verified when it is read; what goes back into the repository does not.
    public func verify() throws(RepoError) {
        let columns = UnsafeRawBufferPointer(start: fences, count: mappedLength - (fences - mapping))
        defer { releaseResident() }
        guard ObjectHasher.hash(columns) == columnsHash else {
            throw .damaged(path, "its content does not match its checksum")
        }
    }

    /// An error that names this file.
    func damage(_ why: String) -> RepoError { .damaged(path, why) }

    // MARK: Entries

    /// Traps unless `0 <= position < count`, as every access by position does.
    public func id(at position: Int) -> BlobID {
        precondition(position >= 0 && position < count)
        return BlobID(loadingFrom: ids + 32 * position)
    }

    /// The place in `packs` of the blob's pack; nil where the file is corrupt.
    public func pack(at position: Int) -> Int? {
        let pack = Int(word(position, 0))
        return pack < packs.count ? pack : nil
    }

    /// Bytes as encoded, without the tag; as in `record(at:)`, for those who only count.
    public func storedLength(at position: Int) -> Int { Int(word(position, 3)) }

    private func word(_ position: Int, _ index: Int) -> UInt32 {
        precondition(position >= 0 && position < count)
        return UInt32(
            littleEndian: locators.loadUnaligned(
                fromByteOffset: IndexTableLayout.locatorLength * position + 4 * index, as: UInt32.self))
    }

    /// Nil where the file is corrupt.
    public func record(at position: Int) -> BlobRecord? {
        let kind = word(position, 5)
        guard kind >> 12 == 0, let type = BlobType(rawValue: UInt8(kind & 15)),
            let encoding = BlobEncoding(rawValue: UInt8(kind >> 4 & 15))
        else { return nil }
        var blobBases = BlobBases()
        let number = Int(kind >> 8 & 15)
        let first = Int(word(position, 6))
        guard number <= BlobBases.maximumCount, first + number <= baseCount else { return nil }
        for index in 0..<number {
            blobBases.append(
                UInt64(
                    littleEndian: bases.loadUnaligned(fromByteOffset: 8 * (first + index), as: UInt64.self)))
        }
        let record = BlobRecord(
            id: id(at: position), type: type, encoding: encoding, offset: word(position, 1),
            ordinal: word(position, 2), storedLength: word(position, 3), rawLength: word(position, 4),
            bases: blobBases)
        return record.flaw == nil ? record : nil
    }

    // MARK: Lookups

    /// The positions of all entries with that id. A miss touches a fence and one line of fingerprints.
    public func positions(of id: BlobID) -> Range<Int> {
        let run = positions(ofPrefix: id.prefix)
        if run.isEmpty { return run }
        if run.count == 1 { return self.id(at: run.lowerBound) == id ? run : 0..<0 }
        let first = firstPosition(in: run) { self.id(at: $0) >= id }
        return first..<firstPosition(in: first..<run.upperBound) { self.id(at: $0) > id }
    }

    /// The positions of all entries whose id begins with these 8 bytes.
    public func positions(ofPrefix prefix: UInt64) -> Range<Int> {
        let bucket = Int(prefix.multipliedFullWidth(by: buckets).high)
        // Clamped, for the column is not checksummed.
        let low = min(fence(bucket), count)
        let high = min(max(fence(bucket + 1), low), count)
        let first =
            high - low <= Self.scanLimit
            ? scan(low..<high, for: prefix)
            : firstPosition(in: low..<high) { self.prefix(at: $0) >= prefix }
        guard first < high, self.prefix(at: first) == prefix else { return 0..<0 }
        guard first + 1 < high, self.prefix(at: first + 1) == prefix else { return first..<first + 1 }
        return first..<firstPosition(in: first..<high) { self.prefix(at: $0) > prefix }
    }

    private func fence(_ bucket: Int) -> Int {
        Int(UInt32(littleEndian: fences.loadUnaligned(fromByteOffset: 4 * bucket, as: UInt32.self)))
    }

    private func prefix(at position: Int) -> UInt64 {
        UInt64(bigEndian: ids.loadUnaligned(fromByteOffset: 32 * position, as: UInt64.self))
    }

    /// The first position with that prefix, or the range's end. Reads 8 fingerprints at a time: the column is padded.
    private func scan(_ range: Range<Int>, for prefix: UInt64) -> Int {
        let wanted = SIMD8<UInt16>(repeating: UInt16(truncatingIfNeeded: prefix))
        var position = range.lowerBound
        while position < range.upperBound {
            let group = fingerprints.loadUnaligned(fromByteOffset: 2 * position, as: SIMD8<UInt16>.self)
            if any(group .== wanted) {
                for lane in 0..<min(8, range.upperBound - position) where group[lane] == wanted[lane] {
                    if self.prefix(at: position + lane) == prefix { return position + lane }
                }
            }
            position += 8
        }
        return range.upperBound
    }

    /// Halving: the first position that is `reached`, which must stay true from there on.
    private func firstPosition(in range: Range<Int>, _ reached: (Int) -> Bool) -> Int {
        var low = range.lowerBound
        var high = range.upperBound
        while low < high {
            let middle = low + (high - low) / 2
            if reached(middle) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Gives back the memory of what lookups have touched: it is read again when needed (madvise). For whole scans.
    public func releaseResident() {
        madvise(UnsafeMutableRawPointer(mutating: mapping), mappedLength, MADV_DONTNEED)
    }
}
