import Glibc
import Testing

/// A small file system of its own that can be filled up.
final class SmallDisk {
    let path: String

    /// Nil where this process may not mount one.
    init?(_ path: String, mebibytes: Int) {
        self.path = path
        guard mkdir(path, 0o700) == 0, mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m") == 0 else {
            rmdir(path)
            return nil
        }
    }

    func unmount() {
        umount2(path, CInt(MNT_DETACH))
        rmdir(path)
    }

    private var free: Int {
        var status = statvfs()
        return statvfs(path, &status) == 0 ? Int(status.f_bavail) * Int(status.f_frsize) : 0
    }

    /// Takes all space but `rest` bytes.
    func fill(leaving rest: Int) throws {
        empty()
        let descriptor = open("\(path)/ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let size = free - rest
        if size > 0 { try #require(posix_fallocate(descriptor, 0, off_t(size)) == 0) }
    }

    func empty() { unlink("\(path)/ballast") }
}
