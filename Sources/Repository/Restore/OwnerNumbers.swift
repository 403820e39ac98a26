import Glibc
import RepoBase

/// Numbers of users and groups by name on this machine (getpwnam_r, getgrnam_r), each looked up once.
final class OwnerNumbers: Sendable {
    private struct Known {
        var users: [[UInt8]: UInt32?] = [:]
        var groups: [[UInt8]: UInt32?] = [:]
    }

    private let known = Monitor(Known())
    private let isNumeric: Bool

    /// - Parameter isNumeric: names are not looked at.
    init(isNumeric: Bool) { self.isNumeric = isNumeric }

    /// The machine's number for the name; the recorded number where it knows no such name.
    func user(_ metadata: FileMetadata) -> UInt32 {
        if isNumeric || metadata.userName.isEmpty || metadata.userName.contains(0) { return metadata.userID }
        return known.withLock { known in
            if let number = known.users[metadata.userName] { return number ?? metadata.userID }
            let number = Self.lookUp { buffer in
                var entry = passwd()
                var result: UnsafeMutablePointer<passwd>?
                let status = metadata.userName.withTerminated {
                    getpwnam_r($0, &entry, buffer.baseAddress!, buffer.count, &result)
                }
                return (status, result == nil ? nil : entry.pw_uid)
            }
            known.users[metadata.userName] = .some(number)
            return number ?? metadata.userID
        }
    }

    /// As `user`, for the group.
    func group(_ metadata: FileMetadata) -> UInt32 {
        if isNumeric || metadata.groupName.isEmpty || metadata.groupName.contains(0) { return metadata.groupID }
        return known.withLock { known in
            if let number = known.groups[metadata.groupName] { return number ?? metadata.groupID }
            let number = Self.lookUp { buffer in
                var entry = Glibc.group()
                var result: UnsafeMutablePointer<Glibc.group>?
                let status = metadata.groupName.withTerminated {
                    getgrnam_r($0, &entry, buffer.baseAddress!, buffer.count, &result)
                }
                return (status, result == nil ? nil : entry.gr_gid)
            }
            known.groups[metadata.groupName] = .some(number)
            return number ?? metadata.groupID
        }
    }

    /// With a larger buffer on ERANGE, up to 1 MiB: a group's entry also lists its members.
    private static func lookUp(
        _ call: (UnsafeMutableBufferPointer<CChar>) -> (status: CInt, number: UInt32?)
    ) -> UInt32? {
        var capacity = 1 << 10
        while capacity <= 1 << 20 {
            let found = withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity, call)
            if found.status != ERANGE && found.status != EINTR { return found.number }
            if found.status == ERANGE { capacity *= 4 }
        }
        return nil
    }
}
