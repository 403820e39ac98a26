import CLinux
import Glibc
import RepoBase

/// A system call on the target that failed.
struct TargetFailure: Error {
    /// For people: `open`, `make directory`, …
    let action: String
    let number: CInt

    init(_ action: String, _ number: CInt = errno) {
        self.action = action
        self.number = number
    }

    /// Going on would only repeat it for every file.
    var isFatal: Bool { [ENOSPC, EDQUOT, EROFS, EIO, EMFILE, ENFILE, ENOMEM].contains(number) }

    var message: String { "cannot \(action): \(String(cString: strerror(number)))" }

    func error(_ path: [UInt8]) -> RepoError {
        let advice =
            switch number {
            case ENOSPC, EDQUOT: "Make room, then run the same restore again with '--overwrite if-changed': it goes on from here."
            case EMFILE, ENFILE: "Raise the limit of open files (ulimit -n), then run it again with '--overwrite if-changed'."
            case EIO: "Look for errors of the device in the kernel's log (dmesg)."
            default: "Correct this, then run the restore again with '--overwrite if-changed': it goes on from here."
            }
        return RepoError(.failed, "'\(PathText.describe(path))': \(message)", advice: advice)
    }
}

extension [UInt8] {
    /// Calls `body` with a copy that ends in a zero byte. The bytes themselves must have none (trees are checked for that).
    func withTerminated<R>(_ body: (UnsafePointer<CChar>) throws -> R) rethrows -> R {
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { copy in
            for index in indices { copy[index] = CChar(bitPattern: self[index]) }
            copy[count] = 0
            return try body(UnsafePointer(copy.baseAddress!))
        }
    }
}

/// The system calls of a restore, relative to a directory and never through a symbolic link. Each repeats on EINTR and throws `TargetFailure`.
enum TargetCalls {
    @inline(__always)
    static func perform(_ action: String, _ body: () -> Int) throws(TargetFailure) -> Int {
        while true {
            let result = body()
            if result >= 0 { return result }
            if errno != EINTR { throw TargetFailure(action) }
        }
    }

    static func open(
        _ name: [UInt8], in directory: CInt, _ flags: CInt, mode: mode_t = 0o600
    ) throws(TargetFailure) -> CInt {
        CInt(
            try perform("open") {
                name.withTerminated { Int(openat(directory, $0, flags | O_NOFOLLOW | O_CLOEXEC, mode)) }
            })
    }

    /// Nil when there is nothing of that name.
    static func status(_ name: [UInt8], in directory: CInt) throws(TargetFailure) -> stat? {
        var status = stat()
        do {
            _ = try perform("look at") {
                name.withTerminated { Int(fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW)) }
            }
        } catch {
            if error.number == ENOENT { return nil }
            throw error
        }
        return status
    }

    static func status(of descriptor: CInt) throws(TargetFailure) -> stat {
        var status = stat()
        _ = try perform("look at") { Int(fstat(descriptor, &status)) }
        return status
    }

    static func makeDirectory(_ name: [UInt8], in directory: CInt) throws(TargetFailure) {
        _ = try perform("make the directory") { name.withTerminated { Int(mkdirat(directory, $0, 0o700)) } }
    }

    static func unlink(_ name: [UInt8], in directory: CInt, isDirectory: Bool = false) throws(TargetFailure) {
        _ = try perform("remove what is in its place") {
            name.withTerminated { Int(unlinkat(directory, $0, isDirectory ? AT_REMOVEDIR : 0)) }
        }
    }

    static func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(TargetFailure) {
        var done = 0
        while done < bytes.count {
            done += try perform("write") {
                pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
            }
        }
    }

    /// Short only at the file's end.
    static func read(
        _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(TargetFailure) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try perform("read") {
                pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    static func truncate(_ descriptor: CInt, to size: UInt64) throws(TargetFailure) {
        _ = try perform("set the size") { Int(ftruncate(descriptor, off_t(size))) }
    }

    /// The range reads as zeros afterwards, and takes no room where the file system can do that. True when something was changed.
    static func clear(_ descriptor: CInt, _ range: Range<UInt64>, fileSize: UInt64) throws(TargetFailure) -> Bool {
        let end = min(range.upperBound, fileSize)
        guard range.lowerBound < end else { return false }
        let data = lseek(descriptor, off_t(range.lowerBound), LINUX_SEEK_DATA)
        if data >= 0 ? UInt64(data) >= end : errno == ENXIO { return false }
        if linux_punch_hole(descriptor, off_t(range.lowerBound), off_t(end - range.lowerBound)) == 0 { return true }
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        var at = range.lowerBound
        while at < end {
            let count = Int(min(end - at, UInt64(zeros.count)))
            var failure: TargetFailure?
            zeros.withUnsafeBytes { zeros in
                do throws(TargetFailure) {
                    try write(UnsafeRawBufferPointer(rebasing: zeros[..<count]), to: descriptor, at: at)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            at += UInt64(count)
        }
        return true
    }
}

extension stat {
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    var isRegularFile: Bool { st_mode & S_IFMT == S_IFREG }
    var permissions: UInt16 { UInt16(st_mode & 0o7777) }
    var modified: FileTime { FileTime(seconds: Int64(st_mtim.tv_sec), nanoseconds: UInt32(st_mtim.tv_nsec)) }
}
