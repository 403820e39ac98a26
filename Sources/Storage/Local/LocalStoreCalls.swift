import CLinux
import Glibc

/// The system calls that a local store makes: what its errors name and what tests make fail.
public enum LocalStoreCall: String, Hashable, Sendable, CaseIterable {
    case open, write, fsync, close, link, rename, renameNoReplace, unlink, mkdir, pread, stat, readdir
}

/// The seam between local stores and the kernel: every call passes here, is repeated on `EINTR`, and can be
/// made to fail, or to do less than asked, by a test.
///
/// Paths are relative to the store's directory. Calls return the kernel's result, or a negated errno below
/// zero.
public struct LocalStoreCalls: Sendable {
    /// What happens to a call.
    public enum Intervention: Hashable, Sendable {
        case proceed
        /// The call is not made; its errno.
        case fail(CInt)
        /// A read or write of at most so many bytes, at least one; other calls proceed.
        case atMost(Int)
    }

    /// Runs just before each call. It may also change the file system, to play the part of another process at
    /// an exact moment. `path` is empty for calls on descriptors.
    public typealias Interception = @Sendable (_ call: LocalStoreCall, _ path: String) -> Intervention

    private let interception: Interception?

    /// - Parameter interception: for tests; nothing in production.
    public init(interception: Interception? = nil) { self.interception = interception }

    /// The kernel, without anything between.
    public static let kernel = LocalStoreCalls()

    private func perform(
        _ call: LocalStoreCall, _ path: String, count: Int = 0, _ body: (_ count: Int) -> Int
    ) -> Int {
        while true {
            var count = count
            var result: Int
            switch interception?(call, path) ?? .proceed {
            case .fail(let number): result = -Int(number)
            case .atMost(let limit):
                count = min(count, max(limit, 1))
                result = body(count)
                if result < 0 { result = -Int(errno) }
            case .proceed:
                result = body(count)
                if result < 0 { result = -Int(errno) }
            }
            if result != -Int(EINTR) { return result }
        }
    }

    /// openat(2); `O_CLOEXEC` is added, new files have mode 0600. Returns the descriptor.
    func open(_ path: String, in directory: CInt, _ flags: CInt) -> Int {
        perform(.open, path) { _ in Int(openat(directory, path, flags | O_CLOEXEC, 0o600)) }
    }

    /// write(2). Returns the count.
    func write(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
        perform(.write, "", count: bytes.count) { Glibc.write(descriptor, bytes.baseAddress!, $0) }
    }

    /// fcntl(2): sets or clears `O_DIRECT`. Not every file system has it (`EINVAL`).
    func setDirect(_ descriptor: CInt, _ isDirect: Bool) -> Int {
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0 else { return -Int(errno) }
        let wanted = isDirect ? flags | LINUX_O_DIRECT : flags & ~LINUX_O_DIRECT
        return fcntl(descriptor, F_SETFL, wanted) == 0 ? 0 : -Int(errno)
    }

    /// fsync(2). `path` names a directory; it is empty for a file.
    func synchronise(_ descriptor: CInt, _ path: String = "") -> Int {
        perform(.fsync, path) { _ in Int(fsync(descriptor)) }
    }

    /// close(2), made even when a test makes it fail. After `EINTR` Linux has closed the descriptor, so this
    /// call alone is never repeated.
    func close(_ descriptor: CInt) -> Int {
        let outcome = interception?(.close, "") ?? .proceed
        let result = Glibc.close(descriptor) == 0 ? 0 : -Int(errno)
        if case .fail(let number) = outcome { return -Int(number) }
        return result == -Int(EINTR) ? 0 : result
    }

    /// linkat(2).
    func link(_ path: String, to target: String, in directory: CInt) -> Int {
        perform(.link, target) { _ in Int(linkat(directory, path, directory, target, 0)) }
    }

    /// renameat(2).
    func rename(_ path: String, to target: String, in directory: CInt) -> Int {
        perform(.rename, target) { _ in Int(renameat(directory, path, directory, target)) }
    }

    /// renameat2(2) with `RENAME_NOREPLACE`.
    func renameNoReplace(_ path: String, to target: String, in directory: CInt) -> Int {
        perform(.renameNoReplace, target) { _ in
            Int(linux_rename_noreplace(directory, path, directory, target))
        }
    }

    /// unlinkat(2).
    func unlink(_ path: String, in directory: CInt) -> Int {
        perform(.unlink, path) { _ in Int(unlinkat(directory, path, 0)) }
    }

    /// mkdirat(2) with mode 0700.
    func makeDirectory(_ path: String, in directory: CInt) -> Int {
        perform(.mkdir, path) { _ in Int(mkdirat(directory, path, 0o700)) }
    }

    /// pread(2). Returns the count, 0 at the end.
    func read(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        perform(.pread, "", count: buffer.count) { pread(descriptor, buffer.baseAddress!, $0, off_t(offset)) }
    }

    /// fstatat(2); symbolic links are followed. An absolute path needs no directory.
    func status(_ path: String, in directory: CInt, into status: inout stat) -> Int {
        perform(.stat, path) { _ in Int(fstatat(directory, path, &status, 0)) }
    }

    /// fstat(2).
    func status(of descriptor: CInt, into status: inout stat) -> Int {
        perform(.stat, "") { _ in Int(fstat(descriptor, &status)) }
    }

    /// readdir(3) until its end. Returns 0, having appended every entry but `.` and `..`. Takes over the
    /// descriptor.
    func entries(of descriptor: CInt, _ path: String, into names: inout [DirectoryEntry]) -> Int {
        guard let stream = fdopendir(descriptor) else {
            let failure = -Int(errno)
            Glibc.close(descriptor)
            return failure
        }
        defer { closedir(stream) }
        while true {
            var entry: DirectoryEntry?
            let result = perform(.readdir, path) { _ in
                errno = 0
                guard let record = readdir(stream) else { return errno == 0 ? 0 : -1 }
                entry = DirectoryEntry(record)
                return 1
            }
            if result <= 0 { return result }
            if let entry, entry.name != ".", entry.name != ".." { names.append(entry) }
        }
    }
}

/// A name in a directory, and what the file system says it is.
struct DirectoryEntry {
    /// Bytes that are no UTF-8 are replaced; such a name is no key anyway.
    let name: String
    /// Nil where only stat(2) can tell: symbolic links, and file systems that do not say.
    let isDirectory: Bool?
    /// False where only stat(2) can tell, too.
    let isRegularFile: Bool

    init(_ record: UnsafeMutablePointer<dirent>) {
        let offset = MemoryLayout<dirent>.offset(of: \.d_name)!
        let bytes = UnsafeRawPointer(record) + offset
        name = String(cString: bytes.assumingMemoryBound(to: CChar.self))
        isRegularFile = Int(record.pointee.d_type) == Int(DT_REG)
        isDirectory =
            switch Int(record.pointee.d_type) {
            case Int(DT_DIR): true
            case Int(DT_LNK), Int(DT_UNKNOWN): nil
            default: false
            }
    }
}
