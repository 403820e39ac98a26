import CLinux
import Glibc
public import RepoBase

extension IndexTable {
    /// Makes the table of a segment and renames it into its place, which may hold one already.
    ///
    /// The file reaches the disk before it gets its name (fdatasync): a table whose blocks were lost with the power
    /// would open, and then deny blobs that are there. Holds the whole file in memory: about 64 bytes a blob.
    /// Throws `.failed` when the file cannot be written.
    public static func write(_ segment: IndexSegment, signer: KeyID, to path: String) throws(RepoError) {
        let content = encode(segment, signer: signer)
        let temporary = "\(path).\(getpid()).\(UInt64.random(in: 0 ... .max))"
        do {
            try writeFile(temporary, content)
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

    /// The table of a segment in memory alone, where no folder takes it: about 64 bytes a blob, twice that while it is made. Throws `.failed` where
    /// there is no memory for it.
    public static func inMemory(_ segment: IndexSegment, signer: KeyID) throws(RepoError) -> IndexTable {
        let name = "in memory"
        let file = linux_memfd_create("repo-index")
        guard file >= 0 else { throw failure(name, errno) }
        defer { close(file) }
        try write(encode(segment, signer: signer), to: file, name)
        return try IndexTable(file: file, path: name)
    }

    /// The bytes of the file.
    static func encode(_ segment: IndexSegment, signer: KeyID) -> AlignedBuffer {
        precondition(segment.blobs.count <= IndexSegment.maximumBlobs)
        var packsPart = ByteWriter()
        segment.writeReplaced(into: &packsPart)
        segment.writePacks(into: &packsPart)
        while packsPart.count % 8 != 0 { packsPart.u8(0) }
        let layout = IndexTableLayout(
            packsLength: packsPart.count, count: segment.blobs.count,
            baseCount: segment.blobs.reduce(0) { $0 + $1.record.bases.count })
        let file = AlignedBuffer(capacity: layout.fileLength)
        file.count = layout.fileLength
        // The padding between columns.
        memset(file.base, 0, layout.fileLength)
        fillColumns(of: file.base, layout, segment.blobs)
        let header = layout.header(
            signer: signer, packsPart: packsPart.bytes,
            columns: UnsafeRawBufferPointer(
                start: file.base + layout.fences, count: layout.fileLength - layout.fences))
        file.base.copyMemory(from: header, byteCount: header.count)
        (file.base + header.count).copyMemory(from: packsPart.bytes, byteCount: packsPart.count)
        return file
    }

    private static func fillColumns(
        of file: UnsafeMutableRawPointer, _ layout: IndexTableLayout,
        _ blobs: [(pack: UInt32, record: BlobRecord)]
    ) {
        var base = 0
        // Fences up to and with `bucket` are written; each is the position of the first blob that is not before it.
        var bucket = 0
        let buckets = UInt64(layout.buckets)
        func store(_ value: UInt32, _ offset: Int) {
            file.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
        }
        for (position, (pack, record)) in blobs.enumerated() {
            let own = Int(record.id.prefix.multipliedFullWidth(by: buckets).high)
            while bucket < own {
                bucket += 1
                store(UInt32(position), layout.fences + 4 * bucket)
            }
            file.storeBytes(
                of: UInt16(truncatingIfNeeded: record.id.prefix),
                toByteOffset: layout.fingerprints + 2 * position,
                as: UInt16.self)
            record.id.store(to: file + layout.ids + 32 * position)
            let locator = layout.locators + IndexTableLayout.locatorLength * position
            let kind = UInt32(record.type.rawValue) | UInt32(record.encoding.rawValue) << 4
            store(pack, locator)
            store(record.offset, locator + 4)
            store(record.ordinal, locator + 8)
            store(record.storedLength, locator + 12)
            store(record.rawLength, locator + 16)
            store(kind | UInt32(record.bases.count) << 8, locator + 20)
            store(UInt32(base), locator + 24)
            for index in 0..<record.bases.count {
                file.storeBytes(
                    of: record.bases[index].littleEndian, toByteOffset: layout.bases + 8 * base,
                    as: UInt64.self)
                base += 1
            }
        }
        while bucket < layout.buckets {
            bucket += 1
            store(UInt32(blobs.count), layout.fences + 4 * bucket)
        }
    }

    private static func writeFile(_ path: String, _ content: AlignedBuffer) throws(RepoError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure(path, errno) }
        defer { close(file) }
        try write(content, to: file, path)
        guard fdatasync(file) == 0 else { throw failure(path, errno) }
    }

    private static func write(_ content: AlignedBuffer, to file: CInt, _ path: String) throws(RepoError) {
        var written = 0
        while written < content.count {
            let count = Glibc.write(file, content.base + written, content.count - written)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, errno) }
            written += count
        }
    }
}
