import CLinux
import Glibc

/// The system calls that sources make on file systems: what a `FileSystemError` names and what tests
/// make fail.
public enum FileSystemCall: String, Hashable, Sendable, CaseIterable {
    case openat, fstatat, fstat, getdents64, readlinkat, pread, lseek, listxattr, getxattr
}

/// The seam between sources and the kernel: every call on a file system passes here, is repeated on
/// `EINTR`, and can be made to fail by a test.
///
/// Calls return the kernel's result, or a negated errno below zero: hot loops then pay for no error value.
public struct FileSystemCalls: Sendable {
    /// Runs just before a call on `name` (empty for calls on descriptors); a result other than 0 is
    /// taken for the call's errno and the call is not made. It may also change the file system, to play
    /// the part of another process at an exact moment.
    public typealias Interception = @Sendable (_ call: FileSystemCall, _ name: [UInt8]) -> CInt

    private let interception: Interception?

    /// - Parameter interception: for tests; nothing in production.
    public init(interception: Interception? = nil) {
        self.interception = interception
    }

    /// The kernel, without anything between.
    public static let kernel = FileSystemCalls()

    @inline(__always)
    private func perform(
        _ call: FileSystemCall, _ name: UnsafePointer<CChar>?, _ body: () -> Int
    ) -> Int {
        if let interception {
            let failure = interception(call, name.map { Array(terminatedBy: $0) } ?? [])
            if failure != 0 { return -Int(failure) }
        }
        while true {
            let result = body()
            if result >= 0 { return result }
            if errno != EINTR { return -Int(errno) }
        }
    }

    /// openat(2); `O_CLOEXEC` is added. Returns the descriptor.
    func open(_ name: UnsafePointer<CChar>, in directory: CInt, flags: CInt) -> Int {
        perform(.openat, name) { Int(openat(directory, name, flags | O_CLOEXEC)) }
    }

    /// fstatat(2) without following a symbolic link and without setting off an automount.
    func status(_ name: UnsafePointer<CChar>, in directory: CInt, into status: inout stat) -> Int {
        perform(.fstatat, name) {
            Int(fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT))
        }
    }

    /// fstat(2).
    func status(of descriptor: CInt, into status: inout stat) -> Int {
        perform(.fstat, nil) { Int(fstat(descriptor, &status)) }
    }

    /// getdents64(2). Returns the number of bytes stored, 0 at the end.
    func directoryRecords(of descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        perform(.getdents64, nil) { linux_getdents64(descriptor, buffer.baseAddress, buffer.count) }
    }

    /// readlinkat(2). Returns the number of bytes stored, which may be cut at the buffer's end.
    func readLink(
        _ name: UnsafePointer<CChar>, in directory: CInt, into buffer: UnsafeMutableBufferPointer<CChar>
    ) -> Int {
        perform(.readlinkat, name) { readlinkat(directory, name, buffer.baseAddress!, buffer.count) }
    }

    /// pread(2).
    func read(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        perform(.pread, nil) { pread(descriptor, buffer.baseAddress!, buffer.count, off_t(offset)) }
    }

    /// lseek(2) with `SEEK_DATA` or `SEEK_HOLE`.
    func seek(_ descriptor: CInt, to offset: UInt64, whence: CInt) -> Int {
        perform(.lseek, nil) { Int(lseek(descriptor, off_t(offset), whence)) }
    }

    /// llistxattr(2) of a path, or flistxattr(2) of a descriptor. A size of 0 asks for the size needed.
    func listAttributes(
        of subject: AttributeSubject, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        perform(.listxattr, nil) {
            let bytes = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            return switch subject {
            case .path(let path): llistxattr(path, bytes, buffer.count)
            case .descriptor(let descriptor): flistxattr(descriptor, bytes, buffer.count)
            }
        }
    }

    /// lgetxattr(2) of a path, or fgetxattr(2) of a descriptor. A size of 0 asks for the size needed.
    func attribute(
        _ name: UnsafePointer<CChar>, of subject: AttributeSubject,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        perform(.getxattr, name) {
            switch subject {
            case .path(let path): lgetxattr(path, name, buffer.baseAddress, buffer.count)
            case .descriptor(let descriptor):
                fgetxattr(descriptor, name, buffer.baseAddress, buffer.count)
            }
        }
    }

    /// What extended attributes are asked of.
    enum AttributeSubject {
        case path(UnsafePointer<CChar>)
        case descriptor(CInt)
    }
}

extension [UInt8] {
    /// The bytes of a C string, without its terminator.
    init(terminatedBy string: UnsafePointer<CChar>) {
        self.init(UnsafeRawBufferPointer(start: string, count: strlen(string)))
    }

    /// Calls `body` with a copy that ends in a zero byte. Bytes after a zero byte would be lost to the
    /// kernel, so such a name yields `EINVAL` instead.
    func withCString(_ body: (UnsafePointer<CChar>) -> Int) -> Int {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { copy in
            for index in indices {
                if self[index] == 0 { return -Int(EINVAL) }
                copy[index] = CChar(bitPattern: self[index])
            }
            copy[count] = 0
            return body(UnsafePointer(copy.baseAddress!))
        }
    }
}
