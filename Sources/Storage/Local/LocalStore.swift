import Glibc
import RepoBase

/// A store in a directory of this machine, or of a file server that it has mounted.
///
/// An object is a file whose path below the directory is its key, so a key must not be the beginning of
/// another (`a` and `a/b`). Files have mode 0600, directories 0700. A name that begins with a dot is never a
/// key: unfinished puts are called `.tmp-` and 16 random hexadecimal digits. They belong to whoever makes them; root makes
/// them for the owner of the directory.
///
/// Everything is durable on return: file and directory are synchronised with fsync(2), however often `put` is
/// called. The directory is held open. Should its path come to name something else, puts and listings fail,
/// and absent objects are reported as a failure of the store: an unmounted disk must not look like an empty
/// repository.
public final class LocalStore: Store {
    public let location: String
    let root: StoreDirectory
    let clock: StoreClock
    let calls: LocalStoreCalls
    let synchronises: Bool
    let fileSystem: FileSystemKind
    let opened = OpenedObjects()
    /// Whether the file system was found unable to rename without replacing, so that link(2) must do.
    let needsLinks = Monitor(false)
    /// Bytes of large objects that may be put through the page cache, and how many were.
    let cachedLimit: Int
    let cachedBytes = Monitor(0)

    /// Opens a directory.
    /// - Parameters:
    ///   - path: absolute, or relative to the current directory.
    ///   - mustExist: when false, the directory and its parents are made where they are missing.
    ///   - clock: tells how old unfinished puts are.
    ///   - calls: the seam for tests.
    /// - Throws: `.noRepository` when the directory must exist and does not; else as `put`.
    public convenience init(
        path: String, mustExist: Bool, clock: StoreClock = .system, calls: LocalStoreCalls = .kernel
    ) throws {
        try self.init(
            path: path, mustExist: mustExist, clock: clock, calls: calls, synchronises: true)
    }

    /// - Parameter synchronises: false where losing objects in a crash of the machine costs nothing but time,
    ///   as in a cache that verifies what it reads.
    /// - Parameter cachedLimit: in bytes; large objects beyond go past the page cache.
    /// - Parameter fileSystem: for tests; nil: what the kernel says.
    init(
        path: String, mustExist: Bool, clock: StoreClock, calls: LocalStoreCalls, synchronises: Bool,
        cachedLimit: Int = 256 << 20, fileSystem: FileSystemKind? = nil
    ) throws {
        self.synchronises = synchronises
        self.cachedLimit = cachedLimit
        location = StoreDirectory.trimmed(path)
        self.clock = clock
        self.calls = calls
        root = try StoreDirectory(location, mustExist: mustExist, calls)
        self.fileSystem = fileSystem ?? FileSystemKind(root.descriptor)
    }

    /// On a file server that is mounted: what fails there may succeed later, so it belongs into a `RetryingStore`.
    public var isOnNetwork: Bool { fileSystem.isNetwork }

    /// One fstatat(2), and another of the store's directory where the object is absent.
    public func stat(_ key: StoreKey) throws -> StoredObject? {
        try status(of: key).map { StoredObject(key: key, status: $0) }
    }

    /// The status of the key's file; nil when there is none.
    private func status(of key: StoreKey) throws -> Glibc.stat? {
        var status = Glibc.stat()
        let result = calls.status(key.description, in: root.descriptor, into: &status)
        if result < 0 {
            guard isAbsence(result) else { throw failure(.read(key), .stat, result) }
            try ensurePresent(.read(key))
            return nil
        }
        return status.isRegularFile ? status : nil
    }

    /// pread(2) until the buffer is full or the object ends. Recently read files stay open: a further range
    /// of one costs fstatat(2), which tells whether the key still names it, and pread(2).
    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        var file = try openedFile(key)
        var isReopened = false
        var done = 0
        while done < buffer.count {
            let position = offset.addingReportingOverflow(UInt64(done))
            guard !position.overflow, position.partialValue < UInt64(Int64.max) else { break }
            // The kernel refuses ranges that end beyond the largest offset, though no file reaches it.
            let room = UInt64(Int64.max) - position.partialValue
            let end = done + Int(min(UInt64(buffer.count - done), room))
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<end])
            let count = calls.read(file.descriptor, into: rest, at: position.partialValue)
            if count == -Int(ESTALE), !isReopened {
                // The file server has forgotten the file that was open: it was replaced or removed by another machine, or the server
                // restarted. From the beginning, lest two versions are mixed.
                opened.remove(key)
                file = try openedFile(key)
                isReopened = true
                done = 0
                continue
            }
            if count < 0 { throw failure(.read(key), .pread, count) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    private func openedFile(_ key: StoreKey) throws -> OpenedObject {
        if let file = opened.find(key) {
            if let status = try status(of: key), status.st_ino == file.inode, status.st_dev == file.device {
                return file
            }
            opened.remove(key)
        }
        let removals = opened.removals
        // Without O_NONBLOCK a stray fifo of that name would block for ever; for files it means nothing.
        let descriptor = calls.open(key.description, in: root.descriptor, O_RDONLY | O_NONBLOCK)
        guard descriptor >= 0 else {
            guard isAbsence(descriptor) else { throw failure(.read(key), .open, descriptor) }
            try ensurePresent(.read(key))
            throw StoreError.notFound(key, in: location)
        }
        var status = Glibc.stat()
        let result = calls.status(of: CInt(descriptor), into: &status)
        guard result >= 0 else {
            _ = calls.close(CInt(descriptor))
            throw failure(.read(key), .stat, result)
        }
        let file = OpenedObject(CInt(descriptor), status)
        guard status.isRegularFile else { throw StoreError.notFound(key, in: location) }
        opened.keep(file, key, since: removals)
        return file
    }

    /// One unlinkat(2) and one fsync(2) of the directory. A range being read meanwhile is still read whole.
    public func delete(_ key: StoreKey) throws {
        let result = calls.unlink(key.description, in: root.descriptor)
        opened.remove(key)
        guard result >= 0 || isAbsence(result) else { throw failure(.delete(key), .unlink, result) }
        if result < 0 { try ensurePresent(.delete(key)) }
        // Also where it was absent: another process may have removed it and not yet made that durable.
        try synchroniseDirectory(StorePath.parent(of: key.description), .delete(key), mayBeAbsent: true)
    }

    // MARK: - Failures

    func failure(_ action: LocalStoreAction, _ call: LocalStoreCall, _ result: Int) -> RepoError {
        StoreError.local(action, call, CInt(-result), in: location, isOnNetwork: fileSystem.isNetwork)
    }

    /// Results of calls on a path that say that there is no such object.
    func isAbsence(_ result: Int) -> Bool {
        [-Int(ENOENT), -Int(ENOTDIR), -Int(ENAMETOOLONG), -Int(EISDIR)].contains(result)
    }

    /// Throws where the store's directory itself is no longer at its path.
    func ensurePresent(_ action: LocalStoreAction) throws {
        let result = root.isInPlace(calls)
        guard result >= 0 else { throw failure(action, .stat, result) }
        guard result > 0 else { throw StoreError.vanished(action, location) }
    }
}

extension stat {
    var isRegularFile: Bool { st_mode & S_IFMT == S_IFREG }
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
}

extension StoredObject {
    init(key: StoreKey, status: stat) {
        self.init(key: key, size: UInt64(status.st_size), modified: Int64(status.st_mtim.tv_sec))
    }
}

extension LocalStore: DescribedStore {
    public func setUp() throws -> [StoreFinding] { [fileSystem.finding] }
}
