import Glibc
public import RepoBase

/// Now, by this machine's clock, and the name of this machine: what an object of the log says of its origin.
public struct WALStamp: Hashable, Sendable {
    public var time: FileTime
    public var host: String

    public init(time: FileTime, host: String) { (self.time, self.host) = (time, host) }

    /// clock_gettime and gethostname.
    public static func now() -> WALStamp {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var name = [CChar](repeating: 0, count: 256)
        let host = gethostname(&name, name.count - 1) == 0 ? name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) } : []
        return WALStamp(
            time: FileTime(seconds: Int64(now.tv_sec), nanoseconds: UInt32(now.tv_nsec)), host: String(decoding: host, as: UTF8.self))
    }
}
