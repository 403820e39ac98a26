import CPQ
import Glibc
public import PostgresFormats
public import RepoBase

/// A message of the log's stream (PostgreSQL's manual, "Streaming Replication Protocol", START_REPLICATION).
public enum ReplicationMessage: ~Copyable {
    /// Bytes of the log from `start` on. `serverEnd`: the end of the log on the server when it sent this.
    case log(LogData)
    /// Nothing new. `serverEnd`: the end of the log there. A reply is wanted at once where `wantsReply`.
    case keepalive(serverEnd: LogSequenceNumber, sent: PostgresTime, wantsReply: Bool)

    public struct LogData: ~Copyable {
        public let start: LogSequenceNumber
        public let serverEnd: LogSequenceNumber
        public let sent: PostgresTime
        private let message: CopyMessage

        static let headerSize = 25

        init(_ message: consuming CopyMessage) {
            (start, serverEnd, sent) = message.withBytes {
                (
                    LogSequenceNumber($0.bigEndian64(1)), LogSequenceNumber($0.bigEndian64(9)),
                    PostgresTime(microseconds: Int64(bitPattern: $0.bigEndian64(17)))
                )
            }
            self.message = message
        }

        public var count: Int { message.count - Self.headerSize }

        /// The log's bytes, valid while the message lives.
        public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
            try message.withBytes { (bytes) throws(E) -> R in try body(UnsafeRawBufferPointer(rebasing: bytes[Self.headerSize...])) }
        }
    }
}

/// What came of waiting at a stream of the log.
public enum ReplicationEvent: ~Copyable {
    case message(ReplicationMessage)
    /// The time was over.
    case nothing
    /// The server sent everything of this timeline, gave up, or shuts down: `endReplication` tells, or throws, which.
    case ended
}

/// Where the log goes on when a timeline has ended.
public struct NextTimeline: Hashable, Sendable {
    public let timeline: UInt32
    public let start: LogSequenceNumber
}

extension PostgresConnection {
    /// Starts to stream the log from `position`, which has to begin a segment where whole segments are wanted.
    /// Returns nil when the stream has begun, or where to go on when the timeline ends at `position`.
    /// Throws when the server no longer has the log, or the timeline is not in its history.
    public func startReplication(
        slot: String?, from position: LogSequenceNumber, timeline: UInt32
    ) throws(RepoError) -> NextTimeline? {
        let command =
            "START_REPLICATION \(slot.map { "SLOT \(SQLText.identifier($0)) " } ?? "")PHYSICAL \(position) TIMELINE \(timeline)"
        try send(command)
        guard let result = try nextResult() else { throw lost() }
        switch PQresultStatus(result) {
        case PGRES_COPY_BOTH:
            PQclear(result)
            return nil
        case PGRES_TUPLES_OK:
            let next = try nextTimeline(QueryResult(result))
            try drain()
            return next
        default: throw unexpected(result, command)
        }
    }

    /// The next message, waiting for it until `deadline`, for ever without one.
    public func replicationEvent(until deadline: ContinuousClock.Instant?) throws(RepoError) -> ReplicationEvent {
        switch try copyEvent(until: deadline) {
        case .nothing: return .nothing
        case .ended: return .ended
        case .message(let message):
            let kind = message.withBytes { $0[0] }
            if kind == UInt8(ascii: "w"), message.count >= ReplicationMessage.LogData.headerSize {
                return .message(.log(ReplicationMessage.LogData(message)))
            }
            if kind == UInt8(ascii: "k"), message.count >= 18 {
                let (end, sent, wantsReply) = message.withBytes { ($0.bigEndian64(1), $0.bigEndian64(9), $0[17] != 0) }
                return .message(
                    .keepalive(
                        serverEnd: LogSequenceNumber(end), sent: PostgresTime(microseconds: Int64(bitPattern: sent)),
                        wantsReply: wantsReply))
            }
            throw RepoError(
                .sourceFailed, "\(target) sent a message of kind \(kind) and \(message.count) bytes, which the log's stream does not have",
                advice: "Is it PostgreSQL itself, without a pooler in between?")
        }
    }

    /// Tells the server how far we are: it may then give up older log, and let transactions go that wait for a synchronous standby
    /// (`flushed`). Positions are those behind the last byte; `.invalid` for none.
    public func sendStatus(
        written: LogSequenceNumber, flushed: LogSequenceNumber, applied: LogSequenceNumber = .invalid, now: PostgresTime,
        wantsReply: Bool = false
    ) throws(RepoError) {
        var message: [UInt8] = [UInt8(ascii: "r")]
        for number in [written.value, flushed.value, applied.value, UInt64(bitPattern: now.microseconds)] {
            for shift in stride(from: UInt64(56), through: 0, by: -8) { message.append(UInt8(truncatingIfNeeded: number >> shift)) }
        }
        message.append(wantsReply ? 1 : 0)
        let sent = message.withUnsafeBytes { bytes in
            PQputCopyData(handle, bytes.baseAddress!.assumingMemoryBound(to: CChar.self), CInt(bytes.count))
        }
        guard sent == 1 else { throw lost() }
        try flush()
    }

    /// Ends the stream in order, whoever began: throws away what still comes, and returns where the log goes on when the
    /// timeline has ended; nil when we or a shutdown ended it.
    public func endReplication() throws(RepoError) -> NextTimeline? {
        // It fails where the server has ended the command with an error, which is read below.
        if PQputCopyEnd(handle, nil) == 1 { try flush() } else if PQstatus(handle) == CONNECTION_BAD { throw lost() }
        var next: NextTimeline?
        while let result = try nextResult() {
            switch PQresultStatus(result) {
            case PGRES_COPY_OUT, PGRES_COPY_BOTH:
                PQclear(result)
                while try copyMessage() != nil {}
            case PGRES_COPY_IN: PQclear(result)
            case PGRES_TUPLES_OK: next = try nextTimeline(QueryResult(result))
            case PGRES_COMMAND_OK: PQclear(result)
            default: throw unexpected(result, "START_REPLICATION")
            }
        }
        return next
    }

    private func nextTimeline(_ answer: QueryResult) throws(RepoError) -> NextTimeline {
        NextTimeline(timeline: try answer.value(0, 0, "next timeline"), start: try answer.position(0, 1))
    }
}

extension UnsafeRawBufferPointer {
    func bigEndian64(_ offset: Int) -> UInt64 { UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
}
