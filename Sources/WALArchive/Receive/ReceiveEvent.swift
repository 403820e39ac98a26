public import PostgresFormats
public import RepoBase

/// What a receiver tells while it works.
public enum ReceiveEvent: Sendable {
    /// The stream has begun, at the beginning of a segment or of what was there of it.
    case streaming(system: UInt64, timeline: UInt32, from: LogSequenceNumber, slot: String?)
    /// The server's timeline has ended, and the next one goes on from there.
    case timeline(UInt32, from: LogSequenceNumber)
    /// A segment is in the repository.
    case stored(segment: String, bytes: Int, wasThere: Bool)
    /// The beginning of a segment is.
    case part(segment: String, length: Int)
    /// The connection ended; it is tried again after so many seconds.
    case lost(RepoError, retry: Double)
    /// The repository does not take what waits: so many bytes of journals.
    case repositoryTrouble(RepoError, waiting: UInt64)
    case repositoryBack
    /// No more is read from the server until the repository has taken some of what waits, or there is room again.
    case stalled(String)
    case goingOn
    case warning(String)
    case progress(ReceiveProgress)
}

/// Where a receiver is.
public struct ReceiveProgress: Hashable, Sendable {
    public var timeline: UInt32
    /// Durable on this machine.
    public var flushed: LogSequenceNumber
    /// The end of the log on the server, as it last said.
    public var serverEnd: LogSequenceNumber
    /// Bytes since this process began.
    public var received: UInt64
    /// Segments put into the repository since then.
    public var stored: Int
    /// Bytes of journals that wait for the repository.
    public var waiting: UInt64

    /// Bytes that the server has and this machine has not.
    public var behind: UInt64 { serverEnd > flushed ? serverEnd.value - flushed.value : 0 }
}

/// How a receiver works.
public struct ReceiveOptions: Sendable {
    /// Nil: without a slot, so that the server may remove log that was not received.
    public var slot: String?
    public var createsSlot = false
    /// Below it each repository and each cluster has a folder.
    public var spool: String
    /// Bytes of journals above which nothing more is read from the server; there is always room for two.
    public var spoolLimit: UInt64 = 16 << 30
    /// Between two stores of what there is of a segment.
    public var partialInterval: Duration = .seconds(30)
    /// Between two messages to the server when nothing happens.
    public var statusInterval: Duration = .seconds(10)
    /// Without a word from the server for so long, the connection counts as lost.
    public var timeout: Duration = .seconds(60)
    /// Ends when this position is received; nil: never.
    public var stopAt: LogSequenceNumber?
    /// Ends when all is received that the server had when the connection began, and nothing more comes.
    public var endsWhenIdle = false
    /// Goes on at the oldest log that is left where the server no longer has what follows.
    public var allowsGap = false
    /// Archives a segment whose records' checksums are wrong, so that it can go on.
    public var acceptsDamage = false
    /// Connects again after a failure; else the first one ends it.
    public var retries = true
    public var threads = availableProcessors()

    public init(spool: String) { self.spool = spool }
}
