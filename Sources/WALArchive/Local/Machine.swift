public import RepoBase

/// Now, by this machine's clock, and the name of this machine: what an object of the log says of its origin.
public struct WALStamp: Hashable, Sendable {
    public var time: FileTime
    public var host: String

    public init(time: FileTime, host: String) { (self.time, self.host) = (time, host) }

    public static func now() -> WALStamp { WALStamp(time: SystemClock.now(), host: MachineNames.host) }
}
