import CLinux
import Glibc
import RepoBase

/// Sets what a file is besides its content, in the order in which the kernel keeps it: owner first, since a change of owner clears capabilities and
/// special bits; then extended attributes, then the mode, whose group bits are an ACL's mask; times last.
struct TargetMetadata: Sendable {
    private let owners: OwnerNumbers
    /// Entries whose owner was left as it is: only who has CAP_CHOWN gives files away (chown(2)). Whoever else restores gets files of their own, which is
    /// counted and not a problem of each file.
    let ownersLeft = Monitor<UInt64>(0)

    init(_ owners: OwnerNumbers) { self.owners = owners }

    /// What to report of a change of owner that failed with `errno`.
    private func ownerFailure(_ user: uid_t, _ group: gid_t) -> String? {
        guard errno != EPERM else {
            ownersLeft.withLock { $0 += 1 }
            return nil
        }
        return Self.failure("owner \(user):\(group)")
    }

    /// Whether the file has all of it, as far as its status tells; extended attributes are not looked at.
    func isAsRecorded(_ status: stat, _ metadata: FileMetadata) -> Bool {
        status.permissions == metadata.permissions && status.modified == metadata.modificationTime
            && status.st_uid == owners.user(metadata) && status.st_gid == owners.group(metadata)
    }

    /// For an open file or directory. Returns what could not be set; the rest is.
    /// - Parameter removesOthers: attributes that the snapshot does not have are removed, for what was there before or inherits ACLs.
    func apply(_ metadata: FileMetadata, to descriptor: CInt, removesOthers: Bool) -> [String] {
        var failures: [String] = []
        var permissions = mode_t(metadata.permissions)
        var status = stat()
        _ = fstat(descriptor, &status)
        let (user, group) = (owners.user(metadata), owners.group(metadata))
        if status.st_uid != user || status.st_gid != group, fchown(descriptor, user, group) != 0 {
            if let failure = ownerFailure(user, group) { failures.append(failure) }
            permissions &= ~(S_ISUID | S_ISGID)
        }
        if removesOthers { Self.removeAttributes(descriptor, except: metadata.extendedAttributes) }
        for attribute in metadata.extendedAttributes where !attribute.name.contains(0) {
            let result = attribute.name.withTerminated {
                fsetxattr(descriptor, $0, attribute.value, attribute.value.count, 0)
            }
            if result != 0 { failures.append(Self.failure("attribute \(PathText.describe(attribute.name))")) }
        }
        if fchmod(descriptor, permissions) != 0 { failures.append(Self.failure("mode")) }
        let times = Self.times(metadata)
        if futimens(descriptor, times) != 0 { failures.append(Self.failure("times")) }
        return failures
    }

    /// For a symbolic link, which has no mode.
    func apply(_ metadata: FileMetadata, toLink name: [UInt8], in directory: CInt) -> [String] {
        var failures: [String] = []
        let (user, group) = (owners.user(metadata), owners.group(metadata))
        var status = stat()
        let times = Self.times(metadata)
        name.withTerminated { name in
            _ = fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW)
            if status.st_uid != user || status.st_gid != group,
                fchownat(directory, name, user, group, AT_SYMLINK_NOFOLLOW) != 0
            {
                if let failure = ownerFailure(user, group) { failures.append(failure) }
            }
        }
        // Links are reached through /proc, since calls for attributes take paths only.
        let path = Array("/proc/self/fd/\(directory)/".utf8) + name
        for attribute in metadata.extendedAttributes where !attribute.name.contains(0) {
            let result = path.withTerminated { path in
                attribute.name.withTerminated {
                    lsetxattr(path, $0, attribute.value, attribute.value.count, 0)
                }
            }
            if result != 0 { failures.append(Self.failure("attribute \(PathText.describe(attribute.name))")) }
        }
        if name.withTerminated({ utimensat(directory, $0, times, AT_SYMLINK_NOFOLLOW) }) != 0 {
            failures.append(Self.failure("times"))
        }
        return failures
    }

    /// For a device or a fifo: it is held by O_PATH, which does not set it off, and changed through /proc, which cannot be led elsewhere.
    func apply(_ metadata: FileMetadata, toSpecial name: [UInt8], in directory: CInt) throws(TargetFailure) -> [String] {
        let handle = TargetHandle(try TargetCalls.open(name, in: directory, LINUX_O_PATH))
        let status = try TargetCalls.status(of: handle.descriptor)
        guard !status.isDirectory, !status.isRegularFile, status.st_mode & S_IFMT != S_IFLNK else {
            throw TargetFailure("set the metadata of what took its place", EEXIST)
        }
        var failures: [String] = []
        var permissions = mode_t(metadata.permissions)
        let (user, group) = (owners.user(metadata), owners.group(metadata))
        if status.st_uid != user || status.st_gid != group,
            fchownat(handle.descriptor, "", user, group, LINUX_AT_EMPTY_PATH) != 0
        {
            if let failure = ownerFailure(user, group) { failures.append(failure) }
            permissions &= ~(S_ISUID | S_ISGID)
        }
        let path = "/proc/self/fd/\(handle.descriptor)"
        for attribute in metadata.extendedAttributes where !attribute.name.contains(0) {
            let result = attribute.name.withTerminated {
                setxattr(path, $0, attribute.value, attribute.value.count, 0)
            }
            if result != 0 { failures.append(Self.failure("attribute \(PathText.describe(attribute.name))")) }
        }
        if chmod(path, permissions) != 0 { failures.append(Self.failure("mode")) }
        if utimensat(AT_FDCWD, path, Self.times(metadata), 0) != 0 { failures.append(Self.failure("times")) }
        return failures
    }

    /// The time of last access is not recorded and stays.
    private static func times(_ metadata: FileMetadata) -> [timespec] {
        let modified = metadata.modificationTime
        return [
            timespec(tv_sec: 0, tv_nsec: LINUX_UTIME_OMIT),
            timespec(tv_sec: Int(modified.seconds), tv_nsec: Int(modified.nanoseconds)),
        ]
    }

    /// Only kinds that people and programs set: labels of security modules are the machine's.
    private static func removeAttributes(_ descriptor: CInt, except kept: [ExtendedAttribute]) {
        let size = flistxattr(descriptor, nil, 0)
        guard size > 0 else { return }
        var list = [CChar](repeating: 0, count: size)
        let filled = flistxattr(descriptor, &list, list.count)
        guard filled > 0 else { return }
        for name in list[..<filled].split(separator: 0) {
            let name = name.map { UInt8(bitPattern: $0) }
            let isOurs =
                name.starts(with: Array("user.".utf8)) || name.starts(with: Array("system.posix_acl_".utf8))
                || name == Array("security.capability".utf8)
            guard isOurs, !kept.contains(where: { $0.name == name }) else { continue }
            _ = name.withTerminated { fremovexattr(descriptor, $0) }
        }
    }

    private static func failure(_ what: String) -> String {
        "\(what) could not be set: \(String(cString: strerror(errno)))"
    }
}
