import Glibc
import RepoBase

// A put writes a temporary file beside its target, synchronises it, gives it its name in one atomic step, and
// synchronises the directory. A crash at any point leaves either the old state or the new, and perhaps a
// temporary file, which listings skip and `removeAbandonedPuts` finds.
extension LocalStore {
    /// Costs the bytes once and two fsync(2), more where directories are new to this process.
    ///
    /// A failure after the name was given (the directory's fsync) leaves an object that may not be durable; a
    /// failed fsync(2) is never repeated, because Linux forgets a lost page once it has reported it.
    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        let target = key.description
        let directory = StorePath.parent(of: target)
        try ensurePresent(.store(key))
        try ensureDirectory(directory, .store(key))
        var (temporary, descriptor) = try openTemporary(in: directory, key)
        if descriptor == -Int(ENOENT) {
            // Somebody removed a directory that this process had made: once more, from the top.
            root.forgetAll()
            try ensureDirectory(directory, .store(key))
            (temporary, descriptor) = try openTemporary(in: directory, key)
        }
        guard descriptor >= 0 else { throw failure(.store(key), .open, descriptor) }
        do {
            try fill(CInt(descriptor), bytes, key)
            try publish(temporary, as: key, mode)
        } catch {
            _ = calls.unlink(temporary, in: root.descriptor)
            throw error
        }
        if mode == .replace { opened.remove(key) }
        try synchroniseDirectory(directory, .store(key), mayBeAbsent: false)
    }

    /// A new file with a name of its own. The descriptor is a negated errno when even the directory is
    /// missing.
    private func openTemporary(in directory: String, _ key: StoreKey) throws -> (String, Int) {
        while true {
            let path = StorePath.temporary(in: directory)
            let descriptor = calls.open(path, in: root.descriptor, O_WRONLY | O_CREAT | O_EXCL)
            if descriptor == -Int(EEXIST) { continue }
            guard descriptor >= 0 || descriptor == -Int(ENOENT) else {
                throw failure(.store(key), .open, descriptor)
            }
            if descriptor >= 0 { giveAway(CInt(descriptor), path) }
            return (path, descriptor)
        }
    }

    /// Writes, synchronises and closes.
    private func fill(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer, _ key: StoreKey) throws {
        do {
            try write(bytes, to: descriptor, key)
            let synchronised = synchronises ? calls.synchronise(descriptor) : 0
            guard synchronised >= 0 else { throw failure(.store(key), .fsync, synchronised) }
        } catch {
            _ = calls.close(descriptor)
            throw error
        }
        // Some file servers report an exceeded quota only here.
        let closed = calls.close(descriptor)
        guard closed >= 0 else { throw failure(.store(key), .close, closed) }
    }

    /// Past the page cache where that is wanted and works: in whole blocks from a block's beginning in memory. What is left over, and
    /// everything where the file system refuses (`EINVAL`), goes through it.
    private func write(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt, _ key: StoreKey) throws {
        var isDirect = bypassesCache(bytes) && calls.setDirect(descriptor, true) >= 0
        var rest = bytes
        while !rest.isEmpty {
            if isDirect, rest.count < Self.block || Int(bitPattern: rest.baseAddress) % Self.block != 0 {
                isDirect = false
                let changed = calls.setDirect(descriptor, false)
                guard changed >= 0 else { throw failure(.store(key), .write, changed) }
            }
            let piece = isDirect ? UnsafeRawBufferPointer(rebasing: rest[..<(rest.count / Self.block * Self.block)]) : rest
            let written = calls.write(descriptor, piece)
            if isDirect, written == -Int(EINVAL) {
                isDirect = false
                let changed = calls.setDirect(descriptor, false)
                guard changed >= 0 else { throw failure(.store(key), .write, changed) }
                continue
            }
            guard written >= 0 else { throw failure(.store(key), .write, written) }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// True for large objects, once so many bytes were stored that keeping more of them in memory would push out what other programs
    /// work with: a backup is not read again soon (docs/adr/0017-writes-past-the-page-cache.md). Counts the others.
    func bypassesCache(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard synchronises, bytes.count >= Self.directMinimum, Int(bitPattern: bytes.baseAddress) % Self.block == 0 else { return false }
        return cachedBytes.withLock { cached in
            guard cached < cachedLimit else { return true }
            cached += bytes.count
            return false
        }
    }

    /// What O_DIRECT asks for on nearly every device (open(2), NOTES); others refuse.
    private static let block = 4096
    private static let directMinimum = 1 << 20

    private func publish(_ temporary: String, as key: StoreKey, _ mode: PutMode) throws {
        let target = key.description
        switch mode {
        case .replace:
            let renamed = calls.rename(temporary, to: target, in: root.descriptor)
            guard renamed >= 0 else { throw failure(.store(key), .rename, renamed) }
        case .create:
            if !needsLinks.withLock({ $0 }) {
                let renamed = calls.renameNoReplace(temporary, to: target, in: root.descriptor)
                if renamed >= 0 { return }
                if renamed == -Int(EEXIST) { throw StoreError.conflict(key, in: location) }
                // NFS, and kernels or file systems that know no such rename.
                guard [-Int(EINVAL), -Int(ENOSYS), -Int(EOPNOTSUPP)].contains(renamed) else {
                    throw failure(.store(key), .renameNoReplace, renamed)
                }
                needsLinks.withLock { $0 = true }
            }
            try link(temporary, as: key)
            // The object is there; a second name of its file is only a stray, removed with the abandoned
            // ones.
            _ = calls.unlink(temporary, in: root.descriptor)
        }
    }

    private func link(_ temporary: String, as key: StoreKey) throws {
        let linked = calls.link(temporary, to: key.description, in: root.descriptor)
        if linked >= 0 { return }
        guard linked == -Int(EEXIST) else { throw failure(.store(key), .link, linked) }
        // A file server whose first answer was lost says EEXIST to the repeated request; two names of our own
        // file tell that it was us (the method that open(2) gives for lock files on NFS).
        var status = Glibc.stat()
        let result = calls.status(temporary, in: root.descriptor, into: &status)
        guard result >= 0, status.st_nlink == 2 else { throw StoreError.conflict(key, in: location) }
    }

    // MARK: - Directories

    /// Makes the directory and its parents where they are missing. Each is made durable once per process,
    /// also when it was there: another process may have made it a moment ago.
    func ensureDirectory(_ directory: String, _ action: LocalStoreAction) throws {
        if root.isDurable(directory) { return }
        let parent = StorePath.parent(of: directory)
        try ensureDirectory(parent, action)
        let made = calls.makeDirectory(directory, in: root.descriptor)
        guard made >= 0 || made == -Int(EEXIST) else { throw failure(action, .mkdir, made) }
        if made >= 0 { giveAwayDirectory(directory) }
        try synchroniseDirectory(parent, action, mayBeAbsent: false)
        root.remember(directory)
    }

    /// A file gets its name after its content was synchronised, so what may be missing are its name and those of its directories: one
    /// fsync(2) each, once a process for the latter.
    public func makeDurable(_ key: StoreKey) throws {
        var directory = StorePath.parent(of: key.description)
        try synchroniseDirectory(directory, .store(key), mayBeAbsent: true)
        while !directory.isEmpty, !root.isDurable(directory) {
            let parent = StorePath.parent(of: directory)
            try synchroniseDirectory(parent, .store(key), mayBeAbsent: true)
            directory = parent
        }
    }

    /// fsync(2) of a directory. File systems that have no such operation say EINVAL; they order names on
    /// their own.
    func synchroniseDirectory(
        _ directory: String, _ action: LocalStoreAction, mayBeAbsent: Bool
    ) throws {
        guard synchronises else { return }
        let path = directory.isEmpty ? "." : directory
        let descriptor = calls.open(path, in: root.descriptor, O_RDONLY | O_DIRECTORY)
        if mayBeAbsent, isAbsence(descriptor) { return }
        guard descriptor >= 0 else { throw failure(action, .open, descriptor) }
        defer { _ = calls.close(CInt(descriptor)) }
        let synchronised = calls.synchronise(CInt(descriptor), path)
        guard synchronised >= 0 || synchronised == -Int(EINVAL) else {
            throw failure(action, .fsync, synchronised)
        }
    }
}
