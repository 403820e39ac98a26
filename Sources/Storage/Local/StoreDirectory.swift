import Glibc
import RepoBase

/// The directory of a local store, held open, and which directories below it are known to be durable.
final class StoreDirectory: Sendable {
    /// Absolute and without symbolic links.
    let path: String
    let descriptor: CInt
    private let device: dev_t
    private let inode: ino_t
    /// Who is to own what we make in it, where that is not ourselves: its owner, when we are root.
    let heir: (user: uid_t, group: gid_t)?
    private let durable = Monitor<Set<String>>([""])

    /// - Parameter location: as people wrote it, for messages.
    init(_ location: String, mustExist: Bool, _ calls: LocalStoreCalls) throws {
        func failure(_ call: LocalStoreCall, _ result: Int) -> RepoError {
            StoreError.local(.open, call, CInt(-result), in: location)
        }
        if !mustExist { try Self.makeDurable(location, calls, failure) }
        let opened = calls.open(location, in: AT_FDCWD, O_RDONLY | O_DIRECTORY)
        if opened == -Int(ENOENT) {
            throw RepoError(
                .noRepository, "there is no directory \(location)",
                advice: "Check the path, mount its disk, or make a repository there with 'repo init'.")
        }
        guard opened >= 0 else { throw failure(.open, opened) }
        var status = stat()
        let result = calls.status(of: CInt(opened), into: &status)
        guard result >= 0, let resolved = realpath(location, nil) else {
            let number = result < 0 ? result : -Int(errno)
            _ = calls.close(CInt(opened))
            throw failure(.stat, number)
        }
        defer { free(resolved) }
        descriptor = CInt(opened)
        path = String(cString: resolved)
        device = status.st_dev
        inode = status.st_ino
        heir = geteuid() == 0 && status.st_uid != 0 ? (status.st_uid, status.st_gid) : nil
    }

    deinit { close(descriptor) }

    /// 1 when the path still names the directory that was opened, 0 when it names another or nothing, else a
    /// negated errno.
    func isInPlace(_ calls: LocalStoreCalls) -> Int {
        var status = stat()
        let result = calls.status(path, in: AT_FDCWD, into: &status)
        if result == -Int(ENOENT) || result == -Int(ENOTDIR) { return 0 }
        if result < 0 { return result }
        return status.st_dev == device && status.st_ino == inode ? 1 : 0
    }

    func isDurable(_ directory: String) -> Bool { durable.withLock { $0.contains(directory) } }
    func remember(_ directory: String) { durable.withLock { _ = $0.insert(directory) } }
    func forgetAll() { durable.withLock { $0 = [""] } }

    /// Makes the directory and its parents, and makes those that were missing durable.
    private static func makeDurable(
        _ path: String, _ calls: LocalStoreCalls, _ failure: (LocalStoreCall, Int) -> RepoError
    ) throws {
        let made = calls.makeDirectory(path, in: AT_FDCWD)
        if made == -Int(EEXIST) { return }
        let parent = path.hasPrefix("/") && StorePath.parent(of: path).isEmpty ? "/" : StorePath.parent(of: path)
        if made == -Int(ENOENT), !parent.isEmpty, parent != path {
            try makeDurable(parent, calls, failure)
            return try makeDurable(path, calls, failure)
        }
        guard made >= 0 else { throw failure(.mkdir, made) }
        let holder = calls.open(parent.isEmpty ? "." : parent, in: AT_FDCWD, O_RDONLY | O_DIRECTORY)
        guard holder >= 0 else { throw failure(.open, holder) }
        defer { _ = calls.close(CInt(holder)) }
        let synchronised = calls.synchronise(CInt(holder), parent)
        guard synchronised >= 0 || synchronised == -Int(EINVAL) else { throw failure(.fsync, synchronised) }
    }

    /// Without slashes at the end; the root directory and the empty path (the current directory) keep a name.
    static func trimmed(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path.isEmpty ? "." : path
    }
}
