import Glibc
import RepoBase

/// Small files of a cluster.
enum TextFile {
    static let limit = 16 << 20

    /// Nil where it cannot be read.
    static func read(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    static func bytes(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
        return nil
    }

    /// Replaces a file by writing beside it and renaming. Throws `.failed`.
    static func write(_ path: String, _ text: String, owner: FileOwner, mode: mode_t = 0o600) throws(RepoError) {
        let beside = path + ".repo-new"
        let descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure("write", path) }
        defer { close(descriptor) }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", path) }
            bytes = bytes.dropFirst(count)
        }
        guard fchmod(descriptor, mode) == 0, owner.apply(to: descriptor), fsync(descriptor) == 0, rename(beside, path) == 0 else {
            throw failure("write", path)
        }
    }

    static func failure(_ what: String, _ path: String) -> RepoError {
        RepoError(.failed, "cannot \(what) '\(path)': \(String(cString: strerror(errno)))")
    }
}

/// Whom the restored cluster belongs to: whom its files were given to.
struct FileOwner: Hashable {
    var user: uid_t
    var group: gid_t

    /// Of a file. Throws `.failed`.
    init(of path: String) throws(RepoError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw TextFile.failure("look at", path) }
        (user, group) = (status.st_uid, status.st_gid)
    }

    func apply(to descriptor: CInt) -> Bool { geteuid() != 0 || fchown(descriptor, user, group) == 0 }

    func apply(toLink path: String) -> Bool { geteuid() != 0 || lchown(path, user, group) == 0 }
}
