import BlobEngine
import Glibc
import RepoBase

/// Copies of a remote repository's small objects on this machine: snapshots, and packs of lists and trees (format.md, appendix D).
///
/// Every object here is named by the hash of its bytes, and a copy is hashed before anything is taken from it, so the folder may be deleted,
/// damaged, filled with rubbish or shared by processes at any moment. A copy says what an object holds and never that the store has it: what
/// rests on an object being there asks the store (docs/collection.md). Nothing throws: a cache that cannot be read or written costs time.
public final class ObjectCache: Sendable {
    /// Bytes of all copies, where nothing else is said.
    public static let standardLimit: UInt64 = 1 << 30

    private let folder: String
    private let limit: UInt64
    private let keeps: Bool

    private struct State {
        var total: UInt64 = 0
        /// Bytes added since the total was counted; nil before the first time.
        var added: UInt64?
        /// Copies that were verified by this process, the latest last.
        var opened: [(id: ObjectID, copy: CachedObject)] = []
        var temporaries = 0
    }
    private let state = Monitor(State())
    /// Copies held open, a descriptor each.
    private static let openLimit = 64
    /// A copy that was used is touched, at most once in so many seconds: those used longest ago go first.
    private static let touchSeconds = 3600
    private static let temporaryPrefix = "new-"

    /// - Parameters:
    ///   - folder: made with the first copy.
    ///   - limit: bytes of all copies; where several processes add at once, exceeded by at most an eighth each.
    ///   - keeps: whether copies are added.
    public init(folder: String, limit: UInt64 = ObjectCache.standardLimit, keeps: Bool = true) {
        (self.folder, self.limit, self.keeps) = (folder, limit, keeps)
    }

    /// The same for a dry run, whose objects will never be in the store.
    public var withoutKeeping: ObjectCache { ObjectCache(folder: folder, limit: limit, keeps: false) }

    private func path(_ id: ObjectID) -> String { "\(folder)/\(id)" }

    /// The copy, verified; nil where there is none. The first time in a process it is read whole (about 1 GB/s).
    func copy(of id: ObjectID) -> CachedObject? {
        if let known = state.withLock({ $0.opened.last { $0.id == id }?.copy }) { return known }
        guard let copy = CachedObject(path: path(id)) else { return nil }
        guard copy.hash() == id else {
            drop(id)
            return nil
        }
        copy.touch(ifOlderThan: Self.touchSeconds)
        state.withLock { state in
            if state.opened.count >= Self.openLimit { state.opened.removeFirst() }
            state.opened.append((id, copy))
        }
        return copy
    }

    /// The bytes of a copy, verified; nil where there is none, or a longer one than `limit`.
    func bytes(of id: ObjectID, atMost limit: Int) -> [UInt8]? {
        guard let copy = CachedObject(path: path(id)), copy.size <= limit else { return nil }
        guard let bytes = copy.bytes(at: 0, count: copy.size), ObjectHasher.hash(bytes) == id else {
            drop(id)
            return nil
        }
        copy.touch(ifOlderThan: Self.touchSeconds)
        return bytes
    }

    /// Keeps a copy of an object, whose hash the caller has compared with its name. One that takes more than a quarter of the cache is not kept.
    func keep(_ id: ObjectID, _ bytes: UnsafeRawBufferPointer) {
        let size = UInt64(bytes.count)
        guard keeps, size <= limit / 4, (try? LocalFolder.make(folder)) != nil else { return }
        let number = state.withLock { state in
            makeRoom(for: size, &state)
            state.temporaries += 1
            return state.temporaries
        }
        let temporary = "\(folder)/\(Self.temporaryPrefix)\(getpid())-\(number)"
        guard CachedObject.write(bytes, to: temporary), rename(temporary, path(id)) == 0 else {
            unlink(temporary)
            return
        }
    }

    func keep(_ id: ObjectID, _ bytes: [UInt8]) { bytes.withUnsafeBytes { keep(id, $0) } }

    /// Forgets a copy that is not what it should be.
    func drop(_ id: ObjectID) {
        state.withLock { state in state.opened.removeAll { $0.id == id } }
        unlink(path(id))
    }

    /// The copies are counted with a process's first, and after each eighth of the limit, since other processes add and remove as well. Beyond
    /// the limit those used longest ago go, until a quarter is free.
    private func makeRoom(for size: UInt64, _ state: inout State) {
        if let added = state.added, added + size <= limit / 8 {
            state.added = added + size
            state.total += size
        } else {
            state.added = 0
            state.total = copies().reduce(size) { $0 + $1.size }
        }
        guard state.total > limit else { return }
        let found = copies().sorted { ($0.used, $0.name) < ($1.used, $1.name) }
        var left = found.reduce(size) { $0 + $1.size }
        for copy in found {
            if left <= limit / 4 * 3 { break }
            unlink("\(folder)/\(copy.name)")
            left -= copy.size
        }
        state.total = left
    }

    private func copies() -> [(name: String, size: UInt64, used: Int)] {
        let names = (try? LocalFolder.names(in: folder)) ?? []
        return names.compactMap { name in
            var status = stat()
            guard lstat("\(folder)/\(name)", &status) == 0 else { return nil }
            return (name, UInt64(max(0, status.st_size)), status.st_mtim.tv_sec)
        }
    }
}

/// One file of the cache, held open: whoever deletes it or puts another in its place does not disturb who reads it.
final class CachedObject: Sendable {
    private let file: CInt
    let size: Int

    init?(path: String) {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { return nil }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= PackObject.maximumSize else {
            close(file)
            return nil
        }
        self.file = file
        size = Int(status.st_size)
    }

    deinit { close(file) }

    /// True when all of `buffer` was filled.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        var done = 0
        while done < buffer.count {
            let count = pread(file, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    func bytes(at offset: Int, count: Int) -> [UInt8]? {
        var isWhole = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            isWhole = read(at: offset, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
            filled = isWhole ? count : 0
        }
        return isWhole ? bytes : nil
    }

    /// Nil where it does not read.
    func hash() -> ObjectID? {
        var hasher = ObjectHasher()
        let piece = AlignedBuffer(capacity: min(max(1, size), 1 << 20))
        var offset = 0
        while offset < size {
            let count = min(size - offset, piece.capacity)
            let isRead = withExtendedLifetime(piece) {
                let room = UnsafeMutableRawBufferPointer(start: piece.base, count: count)
                guard read(at: offset, into: room) else { return false }
                hasher.update(UnsafeRawBufferPointer(room))
                return true
            }
            guard isRead else { return nil }
            offset += count
        }
        return hasher.finish()
    }

    func touch(ifOlderThan seconds: Int) {
        var status = stat()
        guard fstat(file, &status) == 0, time(nil) - status.st_mtim.tv_sec > seconds else { return }
        _ = futimens(file, nil)
    }

    /// A file of this user's alone; false where it cannot be written whole.
    static func write(_ bytes: UnsafeRawBufferPointer, to path: String) -> Bool {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return false }
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(file, bytes.baseAddress! + written, bytes.count - written)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                close(file)
                return false
            }
            written += count
        }
        return close(file) == 0
    }
}
