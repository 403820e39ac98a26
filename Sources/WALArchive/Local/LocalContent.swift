import CLinux
import Glibc
import RepoBase

/// Files of the server: read whole, and published by name only when they are whole.
enum LocalContent {
    /// Reads a file. Throws `.sourceFailed` when it cannot be read, is larger than `limit` bytes, or changes its size meanwhile.
    static func read(_ path: String, atMost limit: Int = WALObjectDescription.maximumLength) throws(RepoError) -> AlignedBuffer {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw failure(path, "read", errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure(path, "read", errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw RepoError(.sourceFailed, "\(path) is not a regular file") }
        guard status.st_size <= limit else {
            throw RepoError(.sourceFailed, "\(path) has \(status.st_size) bytes, more than a file of the log may have")
        }
        let size = Int(status.st_size)
        // One byte more tells whether it grows.
        let buffer = AlignedBuffer(capacity: size + 1, isFilledAtOnce: true)
        while buffer.count <= size {
            let count = Glibc.read(file, buffer.base + buffer.count, size + 1 - buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, "read", errno) }
            if count == 0 { break }
            buffer.count += count
        }
        guard buffer.count == size else { throw RepoError(.sourceFailed, "\(path) changes while it is read") }
        return buffer
    }

    /// Writes a file beside its place, synchronises it, and renames it there: at no moment is there less than the whole under its name.
    /// An existing file is replaced. Mode 0600.
    ///
    /// - Parameter synchronised: false where losing it in a crash of the machine costs nothing but time. It is on its way to the disk then, and not waited for.
    static func publish(_ content: AlignedBuffer, at path: String, synchronised: Bool = true) throws(RepoError) {
        let temporary = "\(path).repo-\(getpid())"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw failure(path, "written", errno) }
        var number: CInt = 0
        var written = 0
        while written < content.count, number == 0 {
            let count = write(file, content.base + written, content.count - written)
            if count > 0 { written += count } else if errno != EINTR { number = errno }
        }
        if number == 0 {
            if !synchronised {
                // So that PostgreSQL, which synchronises what it was given, need not wait for all of it.
                _ = linux_start_writing(file)
            } else if fsync(file) != 0 {
                number = errno
            }
        }
        if close(file) != 0, number == 0 { number = errno }
        if number == 0, rename(temporary, path) != 0 { number = errno }
        if number != 0 {
            unlink(temporary)
            throw failure(path, "written", number)
        }
    }

    /// Makes a folder and its parents, for this user alone. One that exists is left as it is.
    static func makeFolder(_ path: String) throws(RepoError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        let number = errno
        if number == ENOENT, DataDirectory.parent(of: path) != path {
            try makeFolder(DataDirectory.parent(of: path))
            if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        }
        throw failure(path, "made", number)
    }

    /// The names in a folder, without `.` and `..`, in no order.
    static func names(in path: String) throws(RepoError) -> [String] {
        guard let directory = opendir(path) else { throw failure(path, "read", errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let offset = MemoryLayout<dirent>.offset(of: \.d_name)!
            let name = String(cString: (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self))
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func failure(_ path: String, _ doing: String, _ number: CInt) -> RepoError {
        RepoError(
            number == ENOSPC || number == EDQUOT ? .storeFull : .sourceFailed,
            "\(path) cannot be \(doing): \(String(cString: strerror(number)))")
    }
}
