import Glibc
import RepoBase

/// A file that is written from beginning to end through a buffer.
final class ScriptFile {
    private let path: String
    private let descriptor: CInt
    private var buffer: [UInt8] = []
    private var isOpen = true
    private static let bufferSize = 1 << 20

    /// Makes it. Throws `.failed` when there is one.
    init(_ path: String) throws(RepoError) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw TextFile.failure("write", path) }
        buffer.reserveCapacity(Self.bufferSize)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(RepoError) {
        buffer += bytes
        if buffer.count >= Self.bufferSize { try flush() }
    }

    func write(_ text: String) throws(RepoError) {
        buffer += text.utf8
        if buffer.count >= Self.bufferSize { try flush() }
    }

    private func flush() throws(RepoError) {
        var rest = buffer[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw RepoError(
                    errno == ENOSPC ? .storeFull : .failed, "cannot write '\(path)': \(String(cString: strerror(errno)))",
                    advice: "Nothing was changed. Name a larger place with --scratch.")
            }
            rest = rest.dropFirst(count)
        }
        buffer.removeAll(keepingCapacity: true)
    }

    /// Writes what is left.
    func finish() throws(RepoError) { try flush() }

    /// Harmless when repeated.
    func close() {
        if isOpen { Glibc.close(descriptor) }
        isOpen = false
    }
}

extension TextFile {
    /// Reads a file of any length, piece by piece. Throws `.failed`, and what `body` throws.
    static func pieces(_ path: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read", path) }
        defer { close(descriptor) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
