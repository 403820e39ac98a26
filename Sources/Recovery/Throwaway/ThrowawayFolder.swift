import Glibc
public import RepoBase

/// A folder for one run, named after the process that made it, so that the next run finds and removes what a killed one has left.
///
/// `repo-throwaway.<host>.<boot>.<process>.<start>.<random>`: the host's name (hashed) and the boot keep runs of other machines and containers on
/// shared storage apart. The owner also holds a lock (flock(2)) on the folder: process numbers mean nothing between containers.
public final class ThrowawayFolder: Sendable {
    /// By its whole path. Others may pass through it and see nothing: what is in it belongs to the server's user.
    public let path: String
    private let descriptor: CInt
    private let isGone = Monitor(false)

    static let prefix = "repo-throwaway."
    private static let keepName = "keep"

    /// Makes one. Throws `.failed`.
    public init(in scratch: String) throws(RepoError) {
        let process = ProcessIdentity.own
        let name = "\(Self.prefix)\(Self.host).\(Self.boot(process.bootID)).\(process.processID).\(process.start)."
        while true {
            let path = "\(scratch)/\(name)\(Self.hexadecimal(UInt32.random(in: 0 ... .max) & 0xFFFF, digits: 4))"
            if mkdir(path, 0o711) == 0 {
                self.path = path
                break
            }
            guard errno == EEXIST else {
                throw RepoError(
                    .failed, "cannot make a folder in '\(scratch)': \(String(cString: strerror(errno)))",
                    advice: "Name another place with --scratch.")
            }
        }
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw TextFile.failure("open", path) }
        // Whatever the umask is: the server's user has to pass through.
        fchmod(descriptor, 0o711)
        _ = flock(descriptor, LOCK_EX | LOCK_NB)
    }

    deinit { close(descriptor) }

    /// Leaves it for people to look at: no run removes it any more.
    public func keep() throws(RepoError) {
        let mark = openat(descriptor, Self.keepName, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard mark >= 0 else { throw TextFile.failure("write", "\(path)/\(Self.keepName)") }
        close(mark)
        isGone.withLock { $0 = true }
    }

    /// Removes it with all that is in it, once. Throws `.failed` for what stays.
    public func remove() throws(RepoError) {
        let isFirst = isGone.withLock { gone in
            defer { gone = true }
            return !gone
        }
        if isFirst { try FolderRemoval.remove(path) }
    }

    // MARK: - Before

    /// Throws `.usage` unless it is a directory by its whole path that we may write to.
    static func requirePlace(_ path: String) throws(RepoError) {
        var status = stat()
        let why: String
        if !path.hasPrefix("/") {
            why = "it is no whole path"
        } else if stat(path, &status) != 0 {
            why = String(cString: strerror(errno))
        } else if status.st_mode & S_IFMT != S_IFDIR {
            why = "it is no directory"
        } else if access(path, W_OK | X_OK) != 0 {
            why = String(cString: strerror(errno))
        } else {
            return
        }
        throw RepoError(.usage, "'\(path)' cannot be used for throwaway files: \(why)", advice: "Name a directory with --scratch.")
    }

    /// Throws `.storeFull` where the place has less room. `what` needs it.
    static func requireRoom(_ path: String, _ needed: UInt64, _ what: String) throws(RepoError) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw TextFile.failure("look at", path) }
        let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        guard free < needed else { return }
        throw RepoError(
            .storeFull, "'\(path)' has \(ByteCount.describe(free)) free, and \(what) needs \(ByteCount.describe(needed))",
            advice: "Nothing was restored. Name a larger place with --scratch.")
    }

    // MARK: - Leftovers

    /// Removes what killed runs of this user have left in `scratch`, after ending servers that still run there. Returns the folders' paths.
    ///
    /// Throws `.failed` for one that cannot be removed; what others made, and what was kept, is left alone.
    @discardableResult
    public static func removeLeftovers(in scratch: String) throws(RepoError) -> [String] {
        var removed: [String] = []
        guard let stream = opendir(scratch) else { return [] }
        var names: [String] = []
        while let record = readdir(stream) {
            names.append(
                withUnsafePointer(to: &record.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        closedir(stream)
        for name in names.sorted() where isLeftover(name) {
            let path = "\(scratch)/\(name)"
            var status = stat()
            // Another user's folder is that user's to remove, and could be a trap.
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
                access("\(path)/\(keepName)", F_OK) != 0
            else { continue }
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { continue }
            ServerProcess.end(runningIn: "\(path)/\(ThrowawayServer.dataName)")
            try FolderRemoval.remove(path)
            removed.append(path)
        }
        return removed
    }

    /// Whether the name tells of a process of this host that is gone.
    static func isLeftover(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] + "." == prefix, parts[1] == host, let process = UInt64(parts[3]), let start = UInt64(parts[4]) else {
            return false
        }
        let own = ProcessIdentity.own
        let isThisBoot = parts[2] == boot(own.bootID)
        return ProcessIdentity(bootID: isThisBoot ? own.bootID : String(parts[2]), processID: process, start: start).isGone
    }

    /// FNV-1a (Fowler, Noll, Vo) of the host's name: a path for a socket has no room for the name itself.
    private static let host: String = {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        var hash: UInt32 = 2_166_136_261
        for byte in name.prefix(while: { $0 != 0 }) { hash = (hash ^ UInt32(UInt8(bitPattern: byte))) &* 16_777_619 }
        return hexadecimal(hash, digits: 8)
    }()

    private static func boot(_ identifier: String) -> String { String(identifier.prefix(8)) }

    private static func hexadecimal(_ number: UInt32, digits: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
