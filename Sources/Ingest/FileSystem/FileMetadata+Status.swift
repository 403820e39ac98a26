import Glibc
public import RepoBase

extension FileMetadata {
    /// Looks at an entry of an open directory (fstatat, symbolic links not followed). Extended attributes
    /// are left empty.
    ///
    /// - Parameters:
    ///   - directory: a descriptor, or `AT_FDCWD`.
    ///   - path: for the message of an error.
    public init(
        of name: [UInt8], in directory: CInt, path: [UInt8], accounts: AccountNames,
        calls: FileSystemCalls = .kernel
    ) throws(FileSystemError) {
        var status = stat()
        let result = name.withCString { calls.status($0, in: directory, into: &status) }
        guard result >= 0 else {
            throw FileSystemError(.readAttributes, errorNumber: CInt(-result), path: path)
        }
        self.init(status, accounts: accounts)
    }

    /// Looks at an open file (fstat). Extended attributes are left empty.
    ///
    /// - Parameter path: for the message of an error.
    public init(
        of descriptor: CInt, path: [UInt8], accounts: AccountNames, calls: FileSystemCalls = .kernel
    ) throws(FileSystemError) {
        var status = stat()
        let result = calls.status(of: descriptor, into: &status)
        guard result >= 0 else {
            throw FileSystemError(.readAttributes, errorNumber: CInt(-result), path: path)
        }
        self.init(status, accounts: accounts)
    }

    init(_ status: stat, accounts: AccountNames) {
        let type = FileType(mode: status.st_mode)
        let isDevice = type == .blockDevice || type == .characterDevice
        self.init(
            type: type, permissions: UInt16(status.st_mode & 0o7777), userID: status.st_uid,
            groupID: status.st_gid, userName: accounts.user(status.st_uid),
            groupName: accounts.group(status.st_gid), size: UInt64(max(0, status.st_size)),
            linkCount: UInt64(status.st_nlink), device: UInt64(status.st_dev),
            inode: UInt64(status.st_ino),
            deviceNumber: isDevice ? DeviceNumber(encoded: UInt(status.st_rdev)) : .none,
            modificationTime: FileTime(status.st_mtim), changeTime: FileTime(status.st_ctim))
    }
}

extension FileType {
    /// From `st_mode`. inode(7) lists seven types and Linux has no others, so what remains is a socket.
    init(mode: mode_t) {
        self =
            switch mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            case S_IFBLK: .blockDevice
            case S_IFCHR: .characterDevice
            case S_IFIFO: .fifo
            default: .socket
            }
    }
}

extension FileTime {
    init(_ time: timespec) {
        self.init(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }

    /// The wall clock (`CLOCK_REALTIME`).
    public static func now() -> FileTime { SystemClock.now() }
}

extension DeviceNumber {
    /// From glibc's `dev_t`: minor bits 0 to 7 and 20 to 43, major bits 8 to 19 and 44 to 63
    /// (`sys/sysmacros.h`).
    public init(encoded number: UInt) {
        self.init(
            major: UInt32(truncatingIfNeeded: number >> 8 & 0xfff | number >> 32 & 0xffff_f000),
            minor: UInt32(truncatingIfNeeded: number & 0xff | number >> 12 & 0xffff_ff00))
    }

    /// As glibc's `dev_t`.
    public var encoded: UInt {
        let major = UInt(major)
        let minor = UInt(minor)
        return (major & 0xfff) << 8 | (major & 0xffff_f000) << 32 | minor & 0xff
            | (minor & 0xffff_ff00) << 12
    }
}
