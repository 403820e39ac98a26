import CLinux
import Glibc
import RepoBase

/// The directory into which a snapshot is restored.
struct RestoreTarget {
    /// For messages.
    let path: [UInt8]
    /// Nil in a dry run where it is not there.
    let root: TargetHandle?
    let isEmpty: Bool
    /// The directories that were made for it, the outermost first.
    private let made: [[UInt8]]

    /// Opens the target, and makes it where it is missing, unless `isDryRun`. Throws `.refused` when it is not empty and `mayHoldFiles` is false, and
    /// whatever keeps it from being written to.
    init(_ path: [UInt8], mayHoldFiles: Bool, isDryRun: Bool) throws {
        self.path = path
        let text = PathText.describe(path)
        guard !path.isEmpty, !path.contains(0) else {
            throw RepoError(.usage, "'\(text)' cannot be a target", advice: "Name a directory.")
        }
        made = isDryRun ? [] : try Self.makeParents(path)
        let descriptor = path.withTerminated { Glibc.open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else {
            guard isDryRun, errno == ENOENT else {
                throw RepoError(
                    .failed, "the target '\(text)' cannot be opened: \(String(cString: strerror(errno)))",
                    advice: "Name a directory that this user may write to.")
            }
            root = nil
            isEmpty = true
            return
        }
        let root = TargetHandle(descriptor)
        self.root = root
        if !isDryRun, faccessat(descriptor, ".", W_OK | X_OK, 0) != 0 {
            throw RepoError(
                .failed, "the target '\(text)' cannot be written to: \(String(cString: strerror(errno)))",
                advice: "Name a directory that this user may write to.")
        }
        // Every new file system has this directory.
        isEmpty = try TargetListing.names(descriptor).allSatisfy { $0 == Array("lost+found".utf8) }
        guard isEmpty || mayHoldFiles else {
            throw RepoError(
                .failed, "the target '\(text)' is not empty",
                advice: "Name another, or say what becomes of files there: '--overwrite always|if-changed|never'.")
        }
    }

    /// The directories on the way to a path, the outermost first and itself last; without the root.
    static func parts(of path: [UInt8]) -> [[UInt8]] {
        let slash = UInt8(ascii: "/")
        return path.indices.filter { end in
            path[...end].contains { $0 != slash } && (path[end] == slash || end == path.count - 1)
        }.map { Array(path[...$0]) }
    }

    /// Directories on the way, as `mkdir -p`; the user named them, so links in it are followed.
    /// Returns those that were not there.
    private static func makeParents(_ path: [UInt8]) throws -> [[UInt8]] {
        var made: [[UInt8]] = []
        for part in parts(of: path) {
            let status = part.withTerminated { mkdir($0, 0o700) }
            guard status == 0 || errno == EEXIST || errno == EISDIR || errno == EROFS || errno == EACCES else {
                throw RepoError(
                    .failed,
                    "the target '\(PathText.describe(part))' cannot be made: \(String(cString: strerror(errno)))",
                    advice: "Name a directory that this user may write to.")
            }
            if status == 0 { made.append(part) }
        }
        return made
    }

    /// Removes what was made for it, where nothing was restored: as far as nothing else stands there.
    func remove() {
        for part in made.reversed() { _ = part.withTerminated { rmdir($0) } }
    }

    /// Bytes that may still be written, or nil where the file system does not tell (statvfs).
    var available: UInt64? {
        guard let root else { return nil }
        var status = statvfs()
        guard fstatvfs(root.descriptor, &status) == 0, status.f_blocks > 0 else { return nil }
        let blocks = geteuid() == 0 ? status.f_bfree : status.f_bavail
        return UInt64(blocks) * UInt64(status.f_frsize)
    }

    /// What is made in the target inherits ACLs from it.
    var hasDefaultACL: Bool {
        guard let root else { return false }
        return fgetxattr(root.descriptor, "system.posix_acl_default", nil, 0) > 0
    }
}

/// Names in a directory of the target.
enum TargetListing {
    /// All but `.` and `..`, sorted bytewise. Memory: all of them.
    static func names(_ directory: CInt) throws(TargetFailure) -> [[UInt8]] {
        // A descriptor of its own, since reading moves the position.
        let copy = TargetHandle(try TargetCalls.openAgain(directory))
        var names: [[UInt8]] = []
        let room = 1 << 16
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try TargetCalls.perform("list the directory") {
                linux_getdents64(copy.descriptor, buffer.baseAddress, room)
            }
            if count == 0 { break }
            var at = 0
            while at < count {
                let record = buffer.baseAddress! + at
                at += Int((record + LINUX_DIRENT64_RECLEN).loadUnaligned(as: UInt16.self))
                let text = (record + LINUX_DIRENT64_NAME).assumingMemoryBound(to: CChar.self)
                let name = Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
                if name != [46], name != [46, 46] { names.append(name) }
            }
        }
        return names.sorted(by: isBefore)
    }
}

extension TargetCalls {
    /// Another open file of the same directory.
    static func openAgain(_ directory: CInt) throws(TargetFailure) -> CInt {
        CInt(try perform("open") { Int(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) })
    }
}
