public import RepoBase

/// What the log asks of the machine that replays it: a server that cannot give it ends recovery, and one that gives too much harms another.
public enum WALHindrance: Hashable, Sendable {
    /// The server began to run with these settings (`XLOG_PARAMETER_CHANGE`).
    case settings(ServerLimits, position: LogSequenceNumber)
    /// A tablespace was made in this folder; replay deletes what the folder holds of this version, and makes it anew. Nil for a path that
    /// could not be read, as it stands across segments.
    case tablespace(oid: UInt32, folder: String?, position: LogSequenceNumber)

    public var position: LogSequenceNumber {
        switch self {
        case .settings(_, let position), .tablespace(_, _, let position): position
        }
    }

    /// `xl_parameter_change` (access/xlog_internal.h; the same from 13 to 18).
    public struct ServerLimits: Hashable, Sendable {
        public var maxConnections: UInt32
        public var maxWorkerProcesses: UInt32
        public var maxWALSenders: UInt32
        public var maxPreparedTransactions: UInt32
        public var maxLocksPerTransaction: UInt32
        /// `wal_level = minimal`: nothing can be recovered over this place.
        public var isMinimal: Bool

        /// Names of settings with these values: a server that recovers readably needs at least as much (`CheckRequiredParameterValues`,
        /// access/transam/xlogrecovery.c). 14 and newer pause there for ever, 13 ends.
        public var values: [(name: String, value: UInt32)] {
            [
                ("max_connections", maxConnections), ("max_worker_processes", maxWorkerProcesses), ("max_wal_senders", maxWALSenders),
                ("max_prepared_transactions", maxPreparedTransactions), ("max_locks_per_transaction", maxLocksPerTransaction),
            ]
        }
    }

    /// What one segment has of them, and its edges: records stand across segments.
    public struct Part: Sendable {
        public var found: [WALHindrance] = []
        /// Where the log cannot be read on; nil where it fills the segment, gives up its rest, or is not all there.
        public var fault: WALFault?
        var open: WALFacts.OpenRecord?
        var continuation: WALFacts.Continuation?
        let version: WALVersion

        /// Reads a segment, or its beginning. Cost: that of every checksum, about 3 GB/s on one core. Throws `.damaged` where it is no segment.
        public init(_ bytes: UnsafeRawBufferPointer, object: String) throws(RepoError) {
            let identity = try WALSegmentIdentity(bytes, object: object)
            version = identity.version
            var reader = WALRecordReader(version: version, segmentSize: identity.segmentSize.bytes, blockSize: identity.blockSize)
            var visitor = Visitor(version: version)
            let start = identity.start.value
            switch reader.read(bytes, start: start, visitor: &visitor) {
            case .full:
                if let pending = reader.pending, let position = pending.position {
                    open = .init(position: LogSequenceNumber(position), head: Array(reader.scratch))
                }
            case .stopped(let offset, _, let reason):
                fault = WALFault(offset: offset, position: LogSequenceNumber(start + UInt64(offset)), reason: reason)
            case .cut, .switched, .enough: break
            }
            continuation = reader.continuation.map { .init(remaining: $0.remaining, head: $0.head) }
            found = visitor.found
        }

        init(version: WALVersion, open: WALFacts.OpenRecord?, continuation: WALFacts.Continuation?) {
            (self.version, self.open, self.continuation) = (version, open, continuation)
        }

        /// The record that begins in this segment and ends in the next, where it is of a kind that counts.
        func crossing(_ next: Part) -> WALHindrance? {
            guard let open, open.head.count >= WALRecord.headerSize, let continuation = next.continuation else { return nil }
            let record = open.head + continuation.head
            let total = Int(open.head.withUnsafeBytes { $0.u32(0) })
            // Longer ones are only known by their beginning.
            return record.withUnsafeBytes { bytes in
                WALHindrance.read(
                    WALRecord(position: open.position, end: open.position, bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(total))), version)
            }
        }
    }

    /// All that consecutive segments hold, in order.
    public static func all(in parts: [Part]) -> [WALHindrance] {
        var found: [WALHindrance] = []
        for (number, part) in parts.enumerated() {
            found += part.found
            if number + 1 < parts.count, let crossing = part.crossing(parts[number + 1]) { found.append(crossing) }
        }
        return found
    }

    private struct Visitor: WALRecordVisitor {
        let version: WALVersion
        var found: [WALHindrance] = []
        var shouldContinue: Bool { true }

        @inline(__always)
        mutating func visit(_ record: WALRecord) -> String? {
            guard record.isHindrance else { return nil }
            if let hindrance = WALHindrance.read(record, version) { found.append(hindrance) }
            return nil
        }
    }

    /// Nil for records of other kinds.
    ///
    /// - `xl_parameter_change`: 0 MaxConnections i32 · 4 max_worker_processes · 8 max_wal_senders · 12 max_prepared_xacts · 16
    ///   max_locks_per_xact · 20 wal_level (0 minimal) · 24 two booleans.
    /// - `xl_tblspc_create_rec` (commands/tablespace.h): 0 ts_id u32 · 4 ts_path, ended by a zero.
    static func read(_ record: WALRecord, _ version: WALVersion) -> WALHindrance? {
        guard record.isHindrance else { return nil }
        let isTablespace = record.resourceManager == WALRecord.tablespaceManager
        guard let content = WALRecordContent(record.bytes, totalLength: record.totalLength, version: version),
            content.mainData.upperBound <= record.bytes.count
        else { return isTablespace ? .tablespace(oid: 0, folder: nil, position: record.position) : nil }
        let main = UnsafeRawBufferPointer(rebasing: record.bytes[content.mainData])
        if isTablespace {
            guard main.count > 4 else { return nil }
            let path = String(decoding: main[4...].prefix { $0 != 0 }, as: UTF8.self)
            // Inside the data directory (allow_in_place_tablespaces).
            return path.isEmpty ? nil : .tablespace(oid: main.u32(0), folder: path, position: record.position)
        }
        guard main.count >= 24 else { return nil }
        return .settings(
            ServerLimits(
                maxConnections: main.u32(0), maxWorkerProcesses: main.u32(4), maxWALSenders: main.u32(8), maxPreparedTransactions: main.u32(12),
                maxLocksPerTransaction: main.u32(16), isMinimal: main.u32(20) == 0), position: record.position)
    }
}
