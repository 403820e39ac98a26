import Glibc
import PostgresFormats
import RepoBase

/// Segments that were fetched before they were asked for, in a folder of this user's on this machine.
///
/// A file holds the segment and a trailer: a CRC-32C of each 64 KiB of the segment (u32), then magic `repospo2`, u64 length, the name of the
/// segment (24 bytes), and a CRC-32C of the whole trailer before it. The checksums are recomputed when it is used, so what a crash left of a file,
/// or has changed, is not delivered; nothing is waited for that would make it durable. They tell accidents, not strangers, who cannot write into
/// this user's folders; a cryptographic hash would cost more than all the rest of a delivery (adr/0023-what-starting-costs.md). Histories are
/// never kept here. Whatever is here may be deleted at any time.
public struct WALSpool: Sendable {
    /// Segments that are kept ahead.
    public static let depth = 16

    let folder: String

    /// What one checksum covers.
    private static let block = 64 << 10
    private static let magic = Array("repospo2".utf8)

    /// Checksums of the blocks · `magic` 8 · length u64 · name 24 · checksum u32.
    private static func trailerLength(_ length: Int) -> Int { (length + block - 1) / block * 4 + 44 }

    /// - Parameter folder: of one cluster of one repository; made where it is missing.
    public init(folder: String) { self.folder = folder }

    func path(_ segment: String) -> String { "\(folder)/\(segment)" }

    func has(_ segment: String) -> Bool { access(path(segment), F_OK) == 0 }

    /// Moves the segment to `destination`, which is replaced; false where it is not here, or not sound. Where the spool is on the same file
    /// system as the destination this costs reading it, about 2 ms for 16 MiB, and no writing.
    public func deliver(_ segment: String, to destination: String) -> Bool {
        // Taken away first: whoever else asks for it at this moment finds nothing, and nobody sees it without its trailer.
        let claimed = path("\(Self.claimedPrefix)\(getpid())-\(segment)")
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
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), status.st_size > 44,
            status.st_size <= Self.trailerLength(WALObjectDescription.maximumLength) + WALObjectDescription.maximumLength,
            let mapped = mmap(nil, Int(status.st_size), PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0), mapped != MAP_FAILED
        else { return nil }
        defer { munmap(mapped, Int(status.st_size)) }
        let end = mapped + Int(status.st_size)
        let told = UInt64(littleEndian: (end - 36).loadUnaligned(as: UInt64.self))
        guard told < status.st_size, Int(told) + Self.trailerLength(Int(told)) == Int(status.st_size) else { return nil }
        let trailer = [UInt8](UnsafeRawBufferPointer(start: mapped + Int(told), count: Self.trailerLength(Int(told))))
        return trailer == Self.trailer(UnsafeRawBufferPointer(start: mapped, count: Int(told)), segment) ? Int(told) : nil
    }

    private static func trailer(_ content: UnsafeRawBufferPointer, _ segment: String) -> [UInt8] {
        var writer = ByteWriter(capacity: trailerLength(content.count))
        for start in stride(from: 0, to: content.count, by: block) {
            writer.u32(CRC32C.of(UnsafeRawBufferPointer(rebasing: content[start..<min(start + block, content.count)])))
        }
        writer.raw(magic)
        writer.u64(UInt64(content.count))
        writer.raw(segment.utf8)
        writer.u32(writer.bytes.withUnsafeBytes { CRC32C.of($0) })
        return writer.bytes
    }

    /// Adds a segment. Throws what `LocalContent.publish` does.
    func add(_ content: AlignedBuffer, as segment: String) throws(RepoError) {
        let trailer = withExtendedLifetime(content) { Self.trailer(content.bytes, segment) }
        let whole = AlignedBuffer(capacity: content.count + trailer.count, isFilledAtOnce: true)
        withExtendedLifetime(content) { whole.base.copyMemory(from: content.base, byteCount: content.count) }
        (whole.base + content.count).copyMemory(from: trailer, byteCount: trailer.count)
        whole.count = content.count + trailer.count
        try LocalContent.publish(whole, at: path(segment), synchronised: false)
    }

    /// Removes everything but these segments, the lock, and what is being delivered at this moment.
    func keepOnly(_ segments: Set<String>) {
        for name in (try? LocalContent.names(in: folder)) ?? []
        where name != Self.lockName && !segments.contains(name) && !Self.isBeingDelivered(name) {
            unlink(path(name))
        }
    }

    private static let claimedPrefix = "claimed-"

    /// Whether the process that took a segment away is alive: it would find its file gone, and ask the repository for nothing.
    private static func isBeingDelivered(_ name: String) -> Bool {
        guard name.hasPrefix(claimedPrefix), let process = pid_t(name.dropFirst(claimedPrefix.count).prefix { $0 != "-" }) else { return false }
        return kill(process, 0) == 0 || errno == EPERM
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
