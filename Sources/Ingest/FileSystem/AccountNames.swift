import Glibc
import Synchronization

/// Names of users and groups by number, each looked up once (getpwuid_r, getgrgid_r), since a lookup may
/// ask a server.
public final class AccountNames: Sendable {
    private struct Known {
        var users: [UInt32: [UInt8]] = [:]
        var groups: [UInt32: [UInt8]] = [:]
    }

    private let known = Mutex(Known())

    public init() {}

    /// The user's name as bytes; empty where there is none or the lookup failed.
    public func user(_ number: UInt32) -> [UInt8] {
        known.withLock { known in
            if let name = known.users[number] { return name }
            let name = Self.lookUp { buffer, found in
                var entry = passwd()
                var result: UnsafeMutablePointer<passwd>?
                let failure = getpwuid_r(number, &entry, buffer.baseAddress!, buffer.count, &result)
                if failure == 0, result != nil { found = Array(terminatedBy: entry.pw_name) }
                return failure
            }
            known.users[number] = name
            return name
        }
    }

    /// The group's name as bytes; empty where there is none or the lookup failed.
    public func group(_ number: UInt32) -> [UInt8] {
        known.withLock { known in
            if let name = known.groups[number] { return name }
            let name = Self.lookUp { buffer, found in
                var entry = Glibc.group()
                var result: UnsafeMutablePointer<Glibc.group>?
                let failure = getgrgid_r(number, &entry, buffer.baseAddress!, buffer.count, &result)
                if failure == 0, result != nil { found = Array(terminatedBy: entry.gr_name) }
                return failure
            }
            known.groups[number] = name
            return name
        }
    }

    /// Repeats `call` with a larger buffer on `ERANGE`: a group's entry also lists its members. Stops at
    /// 1 MiB.
    private static func lookUp(
        _ call: (UnsafeMutableBufferPointer<CChar>, inout [UInt8]) -> CInt
    ) -> [UInt8] {
        var capacity = 1 << 10
        while capacity <= 1 << 20 {
            var found: [UInt8] = []
            let failure = withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
                call(buffer, &found)
            }
            if failure != ERANGE && failure != EINTR { return found }
            if failure == ERANGE { capacity *= 4 }
        }
        return []
    }
}
