import Glibc
import RepoBase

/// A temporary file without a name below the cache directory, for what is too large for memory and not yet an object. Gone with its last user.
final class SpoolFile: Sendable {
    private let descriptor: CInt
    private let folder: String

    /// Throws `.failed` where the folder cannot be written to.
    init(in folder: String) throws(RepoError) {
        try LocalFolder.make(folder)
        self.folder = folder
        var template = Array("\(folder)/parity-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw Self.failure(folder) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(template)
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(RepoError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(folder) }
            done += count
        }
    }

    /// What was never written reads as zeros.
    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(RepoError) {
        var done = 0
        while done < bytes.count {
            let count = pread(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure(folder) }
            if count == 0 {
                UnsafeMutableRawBufferPointer(rebasing: bytes[done...]).initializeMemory(as: UInt8.self, repeating: 0)
                return
            }
            done += count
        }
    }

    private static func failure(_ folder: String) -> RepoError {
        RepoError(
            .failed, "cannot keep parity in \(folder) for the moment: \(String(cString: strerror(errno)))",
            advice: "It needs as much room there as the parity of one group; name another folder with --cache-dir.")
    }
}
