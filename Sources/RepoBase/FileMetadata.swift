/// What kind of file a directory entry is.
///
/// The raw values are those of trees in the repository (`docs/format.md`, section 8.3), except `socket`,
/// which is never stored: a socket is made anew by the program that listens on it.
public enum FileType: UInt8, Hashable, Sendable, CaseIterable {
    case regular = 1
    case directory = 2
    case symbolicLink = 3
    case blockDevice = 4
    case characterDevice = 5
    case fifo = 6
    case socket = 7
}

/// A file's time stamp: seconds since 1970-01-01 00:00:00 UTC, negative before, and nanoseconds (0 to
/// 999,999,999) to be added to them.
public struct FileTime: Hashable, Sendable, Comparable {
    public var seconds: Int64
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static func < (left: FileTime, right: FileTime) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// The number of a block or character device. Both halves are 0 for other files.
public struct DeviceNumber: Hashable, Sendable {
    public var major: UInt32
    public var minor: UInt32

    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    public static let none = DeviceNumber(major: 0, minor: 0)
}

/// One extended attribute with its full name (`user.comment`, `security.capability`,
/// `system.posix_acl_access`); names need not be UTF-8, values are arbitrary bytes.
public struct ExtendedAttribute: Hashable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// Everything about a file except its name and its content.
public struct FileMetadata: Hashable, Sendable {
    public var type: FileType
    /// The low 12 bits of `st_mode`: permissions, set-user-id, set-group-id, sticky.
    public var permissions: UInt16
    public var userID: UInt32
    public var groupID: UInt32
    /// Name of the owner, as bytes; empty where the machine knows none for `userID`.
    public var userName: [UInt8]
    /// Name of the group, as bytes; empty where the machine knows none for `groupID`.
    public var groupName: [UInt8]
    /// Bytes of content. Meaningful for regular files; for symbolic links the length of the target.
    public var size: UInt64
    /// Number of names of the file. More than 1 for a file that is not a directory: a hard link.
    public var linkCount: UInt64
    /// The file system that holds the file (`st_dev`). Not stable: it may change when a machine restarts.
    public var device: UInt64
    public var inode: UInt64
    /// Which device a block or character device is.
    public var deviceNumber: DeviceNumber
    /// When the content was last modified (mtime); programs can set it to anything.
    public var modificationTime: FileTime
    /// When content or attributes last changed (ctime); only the kernel sets it.
    public var changeTime: FileTime
    /// Sorted by name, bytewise, without duplicates. Empty until asked for: reading them costs two or
    /// more system calls a file, which an unchanged file need not pay.
    public var extendedAttributes: [ExtendedAttribute]

    public init(
        type: FileType, permissions: UInt16, userID: UInt32, groupID: UInt32, userName: [UInt8] = [],
        groupName: [UInt8] = [], size: UInt64, linkCount: UInt64, device: UInt64, inode: UInt64,
        deviceNumber: DeviceNumber = .none, modificationTime: FileTime, changeTime: FileTime,
        extendedAttributes: [ExtendedAttribute] = []
    ) {
        self.type = type
        self.permissions = permissions
        self.userID = userID
        self.groupID = groupID
        self.userName = userName
        self.groupName = groupName
        self.size = size
        self.linkCount = linkCount
        self.device = device
        self.inode = inode
        self.deviceNumber = deviceNumber
        self.modificationTime = modificationTime
        self.changeTime = changeTime
        self.extendedAttributes = extendedAttributes
    }

    /// Whether the file is, as far as the kernel's bookkeeping tells, the one that `earlier` describes,
    /// with the same content and attributes: equal type, size, inode, mtime and ctime.
    ///
    /// ctime moves with every change of content, ownership, permissions or extended attributes, so an
    /// equal ctime vouches for those too. The device is left out, since its number may differ after a
    /// restart. Time stamps advance in steps (see `hasSettled(before:)`).
    public func isUnchanged(since earlier: FileMetadata) -> Bool {
        type == earlier.type && size == earlier.size && inode == earlier.inode
            && modificationTime == earlier.modificationTime && changeTime == earlier.changeTime
    }

    /// Whether both time stamps lie at least `margin` nanoseconds before `moment`, the wall clock's time
    /// just before the file was read.
    ///
    /// The kernel stamps files from a clock that advances with its tick (10 ms at `CONFIG_HZ=100`), and
    /// some file systems round to a second or two: a write just after the file was read may leave the
    /// stamps as they are. Metadata that has not settled must not be taken as proof of unchanged content
    /// later.
    ///
    /// - Parameter margin: nanoseconds, below 10^18; 2 seconds by default, FAT's granularity.
    public func hasSettled(before moment: FileTime, margin: UInt64 = 2_000_000_000) -> Bool {
        let latest = max(modificationTime, changeTime)
        let nanoseconds = UInt64(latest.nanoseconds) + margin
        let (seconds, overflow) = latest.seconds.addingReportingOverflow(Int64(nanoseconds / 1_000_000_000))
        guard !overflow else { return false }
        return FileTime(seconds: seconds, nanoseconds: UInt32(nanoseconds % 1_000_000_000)) <= moment
    }
}
