import Glibc
import RepoBase

/// Folders of this machine: caches and other local state, readable by their owner alone.
enum LocalFolder {
    /// Makes the folder and its parents, mode 0700. An existing one is left as it is.
    static func make(_ path: String) throws(RepoError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        let status = errno
        if status == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try make(String(path[..<slash]))
            if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        }
        throw RepoError(
            .failed, "cannot make the folder \(path): \(String(cString: strerror(status)))",
            advice: "Name another one with --cache-dir.")
    }

    /// The names in it, without `.` and `..`, in no order.
    static func names(in path: String) throws(RepoError) -> [String] {
        guard let directory = opendir(path) else {
            throw RepoError(.failed, "cannot read the folder \(path): \(String(cString: strerror(errno)))")
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes a file; one that is absent is no error.
    static func remove(_ path: String) throws(RepoError) {
        guard unlink(path) != 0, errno != ENOENT else { return }
        throw RepoError(.failed, "cannot remove \(path): \(String(cString: strerror(errno)))")
    }

    /// The bytes of a small file; nil when it is absent or cannot be read.
    static func contents(_ path: String, atMost limit: Int) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_size <= limit else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress! + filled, $0.count - filled) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            filled += count
        }
        return bytes
    }

    /// Makes the names in a folder durable, where its file system can.
    private static func synchronise(_ folder: String) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    /// Writes a file of this user's alone beside its place and renames it there.
    /// - Parameter durably: file and folder are synchronised: for what cannot be made again.
    static func replace(_ path: String, with bytes: [UInt8], durably: Bool = false) throws(RepoError) {
        let temporary = "\(path).\(getpid())"
        func failure() -> RepoError {
            let status = errno
            unlink(temporary)
            return RepoError(.failed, "cannot write \(path): \(String(cString: strerror(status)))")
        }
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure() }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress! + written, $0.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = failure()
                close(file)
                throw error
            }
            written += count
        }
        guard !durably || fsync(file) == 0 else {
            let error = failure()
            close(file)
            throw error
        }
        guard close(file) == 0, rename(temporary, path) == 0 else { throw failure() }
        if durably, let slash = path.lastIndex(of: "/") { synchronise(String(path[..<slash])) }
    }
}
