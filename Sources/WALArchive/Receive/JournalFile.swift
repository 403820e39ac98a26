import Glibc
import PostgresFormats
import RepoBase

/// The bytes of one segment as they are received, in a file of this machine's (format.md, appendix C): the segment, as long as it will be,
/// and two marks that tell how much of it is sound.
///
/// What `flush` has returned for survives a crash of the machine, and `init(recovering:)` brings back exactly that: the longest beginning
/// that a mark vouches for by its checksum. A failed write or fdatasync is never repeated: Linux may have dropped the pages and would
/// report success the second time. The journal is of no use from then on, and every call throws. To be used by one thread.
final class JournalFile {
    let path: String
    let segment: WALSegment
    let size: WALSegmentSize
    private let systemIdentifier: UInt64
    private let name: String
    private let opened: Descriptor
    private var file: CInt { opened.number }
    /// Bytes from the segment's beginning that were handed to the kernel.
    private(set) var written: Int
    /// Of these, what is on the disk.
    private(set) var flushed: Int
    private var checksum: CRC32C
    private var sequence: UInt64
    private var isBroken = false

    /// Bytes of a journal's file.
    static func fileSize(_ size: WALSegmentSize) -> Int { size.bytes + 2 * JournalMark.spacing }

    /// Begins a journal in a spare file, which is renamed to `path`, in place of the one that may be there; durable on return.
    /// - Parameter content: what it begins with.
    init(
        spare: String, path: String, segment: WALSegment, size: WALSegmentSize, systemIdentifier: UInt64, content: AlignedBuffer? = nil
    ) throws(RepoError) {
        (self.path, self.segment, self.size, self.systemIdentifier) = (path, segment, size, systemIdentifier)
        name = segment.name(size)
        (written, flushed, checksum, sequence) = (0, 0, CRC32C(), 0)
        opened = try Descriptor(spare)
        if let content {
            try withExtendedLifetime(content) { () throws(RepoError) in try append(content.bytes) }
            flushed = written
        }
        // Both places anew: a spare file was a journal before.
        let mark = self.mark.encoded() + [UInt8](repeating: 0, count: 2 * JournalMark.spacing - JournalMark.byteCount)
        try write(mark, at: size.bytes)
        try synchronise()
        guard rename(spare, path) == 0 else { throw Self.failure(path, "made", errno) }
        try Self.synchroniseFolder(of: path)
    }

    /// Opens a journal that another process left. Throws `.damaged` when no mark vouches for its content, which a crash alone does not bring
    /// about, and `.failed` when it cannot be read.
    init(recovering path: String, name: String, systemIdentifier: UInt64) throws(RepoError) {
        self.path = path
        self.name = name
        self.systemIdentifier = systemIdentifier
        opened = try Descriptor(path)
        let file = opened.number
        var status = stat()
        guard fstat(file, &status) == 0 else { throw Self.failure(path, "read", errno) }
        guard let size = WALSegmentSize(bytes: Int(status.st_size) - 2 * JournalMark.spacing),
            let segment = WALSegment(name: name, size: size)
        else { throw Self.damage(path, "it has \(status.st_size) bytes, and no journal has") }
        let content = AlignedBuffer(capacity: size.bytes)
        let bytes = AlignedBuffer(capacity: JournalMark.byteCount)
        bytes.count = JournalMark.byteCount
        defer { extendLifetime((content, bytes)) }
        var marks: [JournalMark] = []
        try Self.read(file, path, at: 0, count: size.bytes, into: content.base)
        for place in 0..<2 {
            try Self.read(file, path, at: size.bytes + place * JournalMark.spacing, count: JournalMark.byteCount, into: bytes.base)
            guard let mark = JournalMark(Array(bytes.bytes)), mark.segment == name, mark.systemIdentifier == systemIdentifier,
                mark.length <= size.bytes
            else { continue }
            marks.append(mark)
        }
        var best: (mark: JournalMark, checksum: CRC32C)?
        for mark in marks where mark.sequence > best?.mark.sequence ?? 0 || best == nil {
            var checksum = CRC32C()
            checksum.update(UnsafeRawBufferPointer(start: content.base, count: mark.length))
            if checksum.value == mark.checksum { best = (mark, checksum) }
        }
        guard let best else { throw Self.damage(path, "nothing in it vouches for its content") }
        (self.segment, self.size) = (segment, size)
        (written, flushed, checksum, sequence) = (best.mark.length, best.mark.length, best.checksum, best.mark.sequence)
    }

    /// Closed with its owner, also where an initialiser throws.
    private final class Descriptor {
        let number: CInt

        init(_ path: String) throws(RepoError) {
            number = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
            guard number >= 0 else { throw JournalFile.failure(path, "opened", errno) }
        }

        deinit { close(number) }
    }

    var isFull: Bool { written == size.bytes }
    /// The position behind the last byte that is on the disk.
    var flushedEnd: LogSequenceNumber { LogSequenceNumber(segment.start(size).value + UInt64(flushed)) }
    var writtenEnd: LogSequenceNumber { LogSequenceNumber(segment.start(size).value + UInt64(written)) }

    private var mark: JournalMark {
        JournalMark(
            systemIdentifier: systemIdentifier, segment: name, sequence: sequence, length: written, checksum: checksum.value)
    }

    /// Adds bytes behind the last ones; they must fit into the segment.
    func append(_ bytes: UnsafeRawBufferPointer) throws(RepoError) {
        precondition(bytes.count <= size.bytes - written)
        try write(bytes, at: written)
        checksum.update(bytes)
        written += bytes.count
    }

    /// Returns once everything that was written is on the disk. Costs one write of 64 bytes and an fdatasync.
    func flush() throws(RepoError) {
        guard flushed < written else { return }
        sequence += 1
        let offset = size.bytes + Int(sequence & 1) * JournalMark.spacing
        try write(mark.encoded(), at: offset)
        try synchronise()
        flushed = written
    }

    /// Whether these bytes are what the journal has at `offset`; they must lie in what was written.
    func holds(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(RepoError) -> Bool {
        let own = AlignedBuffer(capacity: bytes.count)
        defer { extendLifetime(own) }
        try Self.read(file, path, at: offset, count: bytes.count, into: own.base)
        return memoryIsEqual(own.base, bytes)
    }

    /// The first bytes of a journal, as a buffer of its own. Any thread may call it for bytes that were flushed.
    static func content(_ path: String, count: Int) throws(RepoError) -> AlignedBuffer {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw failure(path, "opened", errno) }
        defer { close(file) }
        let content = AlignedBuffer(capacity: count)
        try read(file, path, at: 0, count: count, into: content.base)
        content.count = count
        return content
    }

    // MARK: System calls

    private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(RepoError) {
        guard !isBroken else { throw Self.failure(path, "written", EIO) }
        var done = 0
        while done < bytes.count {
            let count = pwrite(file, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let number = count == 0 ? EIO : errno
                isBroken = true
                throw Self.failure(path, "written", number)
            }
            done += count
        }
    }

    private func write(_ bytes: [UInt8], at offset: Int) throws(RepoError) {
        let buffer = AlignedBuffer(capacity: bytes.count)
        buffer.base.copyMemory(from: bytes, byteCount: bytes.count)
        buffer.count = bytes.count
        try withExtendedLifetime(buffer) { () throws(RepoError) in try write(buffer.bytes, at: offset) }
    }

    private func synchronise() throws(RepoError) {
        guard !isBroken, fdatasync(file) == 0 else {
            let number = isBroken ? EIO : errno
            isBroken = true
            throw Self.failure(path, "synchronised", number)
        }
    }

    private static func read(
        _ file: CInt, _ path: String, at offset: Int, count: Int, into base: UnsafeMutableRawPointer
    ) throws(RepoError) {
        var done = 0
        while done < count {
            let got = pread(file, base + done, count - done, off_t(offset + done))
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failure(path, "read", errno) }
            guard got > 0 else { throw damage(path, "it ends early") }
            done += got
        }
    }

    /// Makes names in the folder that holds `path` durable.
    static func synchroniseFolder(of path: String) throws(RepoError) {
        let folder = DataDirectory.parent(of: path)
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw failure(folder, "opened", errno) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw failure(folder, "synchronised", errno) }
    }

    /// Nothing was acknowledged that is not on the disk; but this process can vouch for nothing more.
    static func failure(_ path: String, _ doing: String, _ number: CInt) -> RepoError {
        RepoError(
            .failed, "the journal \(path) cannot be \(doing): \(String(cString: strerror(number)))",
            advice: "Look for errors of the disk in the kernel's log (dmesg) and for free space, then start 'repo wal receive' again: "
                + "it goes on from what is sound, and nothing else was acknowledged.")
    }

    private static func damage(_ path: String, _ why: String) -> RepoError {
        RepoError(
            .damaged, "the journal \(path) is damaged: \(why)",
            advice: "It is set aside. Look for errors of the disk in the kernel's log (dmesg).")
    }
}
