import BlobEngine
import Glibc
import RepoBase

/// Small files of this machine: passwords, keys, configuration, lists of patterns.
enum LocalFile {
    /// Throws `.usage` when it cannot be read, since its name came from the command line or the configuration.
    /// - Parameter what: what the file is, as in "the password file".
    static func read(_ path: String, _ what: String, limit: Int = 16 << 20) throws(RepoError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(path, what) }
        defer { close(file) }
        return try read(file, path, what, limit: limit)
    }

    /// Everything up to the end of a descriptor. What is short leaves no other copy in memory, for it may be a secret.
    static func read(_ file: CInt, _ path: String, _ what: String, limit: Int) throws(RepoError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4096)
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        defer { SecretBytes.wipe(buffer) }
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure(path, what)
            }
            bytes += buffer[..<count]
            guard bytes.count <= limit else {
                throw RepoError(.usage, "\(what) \(path) is larger than \(ByteCount.describe(UInt64(limit)))")
            }
        }
    }

    /// Writes a new file that only its owner can read, and makes it durable. Throws `.conflict` where there is one.
    static func create(_ path: String, _ text: String, _ what: String) throws(RepoError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            if errno == EEXIST {
                throw RepoError(
                    .conflict, "\(what) \(path) exists already",
                    advice: "Name another file, or remove that one.")
            }
            throw failure(path, what, doing: "written")
        }
        var text = text
        let written: Bool = text.withUTF8 { bytes in
            (try? Console.write(UnsafeRawBufferPointer(bytes), to: file)) != nil && fsync(file) == 0
        }
        let number = errno
        guard close(file) == 0, written else {
            unlink(path)
            errno = number
            throw failure(path, what, doing: "written")
        }
    }

    private static func failure(_ path: String, _ what: String, doing: String = "read") -> RepoError {
        RepoError(.usage, "\(what) \(path) cannot be \(doing): \(String(cString: strerror(errno)))")
    }
}
