import BlobEngine
import Glibc
import PostgresFormats
import RepoBase

/// Segments that were fetched before they were asked for, in a folder of this user's on this machine.
///
/// A file holds the segment and a trailer of 72 bytes: magic `repospol`, u64 length, the name of the segment (24 bytes), and the
/// hash of both. It gets its name after it was synchronised, and the hash is recomputed when it is used, so a half-written or changed file is
/// never delivered. Histories are never kept here. Whatever is here may be deleted at any time.
public struct WALSpool: Sendable {
    /// Segments that are kept ahead.
    public static let depth = 16

    let folder: String

    /// Trailer: `magic` 8 · length u64 · name 24 · hash 32.
    private static let trailerLength = 72
    private static let magic = Array("repospol".utf8)
    /// Not secret: it tells accidents, not strangers, who cannot write into this user's folders.
    private static let hasher = ContentHasher(idSecret: [], info: "repo wal spool v1")

    /// - Parameter folder: of one cluster of one repository; made where it is missing.
    public init(folder: String) { self.folder = folder }

    func path(_ segment: String) -> String { "\(folder)/\(segment)" }

    func has(_ segment: String) -> Bool { access(path(segment), F_OK) == 0 }

    private static func hash(_ content: UnsafeRawBufferPointer, _ segment: String) -> Hash256 {
        let own = hasher.identity(content).bytes + Array(segment.utf8)
        return own.withUnsafeBytes { hasher.identity($0) }
    }

    /// Moves the segment to `destination`, which is replaced; false where it is not here, or not sound. Where the spool is on the same file
    /// system as the destination this costs reading and hashing it, about 8 ms for 16 MiB, and no writing.
    public func deliver(_ segment: String, to destination: String) -> Bool {
        // Taken away first: whoever else asks for it at this moment finds nothing, and nobody sees it without its trailer.
        let claimed = path("claimed-\(getpid())-\(segment)")
        guard rename(path(segment), claimed) == 0 else { return false }
        // Where it is to go, nothing is left of it here.
        defer { unlink(claimed) }
        let file = open(claimed, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return false }
        defer { close(file) }
        guard let length = verified(file, segment), ftruncate(file, off_t(length)) == 0 else { return false }
        if rename(claimed, destination) == 0 { return true }
        // On another file system: copied.
        guard let content = try? LocalContent.read(claimed), content.count == length else { return false }
        return (try? LocalContent.publish(content, at: destination)) != nil
    }

    /// The length of the segment when the file is sound.
    private func verified(_ file: CInt, _ segment: String) -> Int? {
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
            status.st_size > Self.trailerLength, status.st_size <= WALObjectDescription.maximumLength + Self.trailerLength,
            let mapped = mmap(nil, Int(status.st_size), PROT_READ, MAP_SHARED, file, 0), mapped != MAP_FAILED
        else { return nil }
        defer { munmap(mapped, Int(status.st_size)) }
        let length = Int(status.st_size) - Self.trailerLength
        let content = UnsafeRawBufferPointer(start: mapped, count: length)
        let trailer = [UInt8](UnsafeRawBufferPointer(start: mapped + length, count: Self.trailerLength))
        return trailer == Self.trailer(content, segment) ? length : nil
    }

    private static func trailer(_ content: UnsafeRawBufferPointer, _ segment: String) -> [UInt8] {
        var writer = ByteWriter(capacity: trailerLength)
        writer.raw(magic)
        writer.u64(UInt64(content.count))
        writer.raw(segment.utf8)
        writer.hash(hash(content, segment))
        return writer.bytes
    }

    /// Adds a segment. Throws what `LocalContent.publish` does.
    func add(_ content: AlignedBuffer, as segment: String) throws(RepoError) {
        let trailer = withExtendedLifetime(content) { Self.trailer(content.bytes, segment) }
        let whole = AlignedBuffer(capacity: content.count + trailer.count)
        withExtendedLifetime(content) { whole.base.copyMemory(from: content.base, byteCount: content.count) }
        (whole.base + content.count).copyMemory(from: trailer, byteCount: trailer.count)
        whole.count = content.count + trailer.count
        try LocalContent.publish(whole, at: path(segment))
    }

    /// Removes everything but these segments and the lock.
    func keepOnly(_ segments: Set<String>) {
        for name in (try? LocalContent.names(in: folder)) ?? [] where name != Self.lockName && !segments.contains(name) {
            unlink(path(name))
        }
    }

    // MARK: Who fills it

    private static let lockName = "lock"

    /// Runs `body` unless another process fills the spool at this moment (flock). Returns whether it ran.
    func whileFilling(_ body: () throws -> Void) throws -> Bool {
        try LocalContent.makeFolder(folder)
        let file = open(path(Self.lockName), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw LocalContent.failure(path(Self.lockName), "opened", errno) }
        defer { close(file) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else { return false }
        try body()
        return true
    }

    /// Whether nobody fills it and there are few segments ahead of this one: half the depth.
    public func needsFilling(behind segment: String, size: Int) -> Bool {
        guard let ahead = Self.following(segment, size: size).dropFirst(Self.depth / 2 - 1).first, !has(ahead) else { return false }
        let file = open(path(Self.lockName), O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return true }
        defer { close(file) }
        return flock(file, LOCK_SH | LOCK_NB) == 0
    }

    /// The names of the segments that follow, as many as are kept ahead.
    static func following(_ segment: String, size: Int) -> [String] {
        guard let size = WALSegmentSize(bytes: size), var next = WALSegment(name: segment, size: size) else { return [] }
        return (0..<depth).map { _ in
            next = next.next
            return next.name(size)
        }
    }
}

extension WALArchive {
    /// Fetches the segments that follow `segment` into the spool, in order, until one is not in the archive or enough are there. Does nothing
    /// while another process does it.
    public func fill(_ spool: WALSpool, behind segment: String, size: Int, system: UInt64, threads: Int) throws {
        _ = try spool.whileFilling {
            let names = WALSpool.following(segment, size: size)
            spool.keepOnly(Set(names))
            for name in names where !spool.has(name) {
                guard let content = try content(of: .segment(name: name), system: system, threads: threads), content.count == size else {
                    return
                }
                try spool.add(content, as: name)
            }
        }
    }
}
