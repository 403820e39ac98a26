/// The end of a transaction in the log: what recovery to a time goes by (`recoveryStopsBefore`, access/transam/xlogrecovery.c).
public struct WALTransactionEnd: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case commit
        case abort
        case commitPrepared
        case abortPrepared

        /// `XLOG_XACT_COMMIT`, `…_ABORT`, `…_COMMIT_PREPARED`, `…_ABORT_PREPARED` (access/xact.h); nil for other kinds.
        init?(info: UInt8) {
            switch info & 0x70 {
            case 0x00: self = .commit
            case 0x20: self = .abort
            case 0x30: self = .commitPrepared
            case 0x40: self = .abortPrepared
            default: return nil
            }
        }

        public var isCommit: Bool { self == .commit || self == .commitPrepared }
        var isPrepared: Bool { self == .commitPrepared || self == .abortPrepared }
    }

    public var kind: Kind
    /// Of the record's first byte: `recovery_target_lsn` with `recovery_target_inclusive = off` stops before it.
    public var position: LogSequenceNumber
    /// Behind the record.
    public var end: LogSequenceNumber
    public var time: PostgresTime
    /// The transaction that ended; of a prepared one its own, not that of the session that ended it. Nil only where a boundary between
    /// segments hides it (see `WALBoundary`).
    public var transaction: UInt32?

    public init(kind: Kind, position: LogSequenceNumber, end: LogSequenceNumber, time: PostgresTime, transaction: UInt32?) {
        (self.kind, self.position, self.end, self.time, self.transaction) = (kind, position, end, time, transaction)
    }

    /// What a record of `RM_XACT_ID` says, from as many of its first bytes as there are.
    enum Reading {
        /// A preparation, an assignment of subtransactions, invalidations.
        case noEnd
        case end(WALTransactionEnd)
        /// The bytes stop before the time.
        case tooShort
        case nonsense(String)
    }

    /// - Parameter bytes: the record from its header on; what is missing at their end counts as unknown.
    static func read(
        _ bytes: UnsafeRawBufferPointer, position: LogSequenceNumber, end: LogSequenceNumber, version: WALVersion
    ) -> Reading {
        guard bytes.count >= WALRecord.headerSize else { return .tooShort }
        let total = Int(bytes.u32(0))
        let info = bytes.u8(16)
        guard let kind = Kind(info: info) else { return .noEnd }
        guard let content = WALRecordContent(bytes, totalLength: total, version: version) else {
            return bytes.count < total ? .tooShort : .nonsense("its headers contradict each other")
        }
        let main = content.mainData
        guard main.count >= 8 else { return .nonsense("it ends a transaction and has no time") }
        guard main.lowerBound + 8 <= bytes.count else { return .tooShort }
        let time = PostgresTime(microseconds: bytes.i64(main.lowerBound))
        var ended = WALTransactionEnd(
            kind: kind, position: position, end: end, time: time, transaction: kind.isPrepared ? nil : bytes.u32(4))
        if kind.isPrepared {
            let offset = preparedTransactionOffset(bytes, main: main, info: info, kind: kind, version: version)
            switch offset {
            case .some(let offset) where offset + 4 <= main.upperBound:
                if offset + 4 <= bytes.count { ended.transaction = bytes.u32(offset) }
            case .none where bytes.count < total: break
            default: return .nonsense("it ends a prepared transaction and does not say which")
            }
        }
        return .end(ended)
    }

    /// Where `xl_xact_twophase` stands, behind the parts that come before it (`ParseCommitRecord`, `ParseAbortRecord`,
    /// access/rmgrdesc/xactdesc.c). Nil where there is none or the bytes stop before that is known.
    private static func preparedTransactionOffset(
        _ bytes: UnsafeRawBufferPointer, main: Range<Int>, info: UInt8, kind: Kind, version: WALVersion
    ) -> Int? {
        var offset = main.lowerBound + 8
        // XLOG_XACT_HAS_INFO
        guard info & 0x80 != 0, offset + 4 <= bytes.count else { return nil }
        let flags = bytes.u32(offset)
        offset += 4
        func skipList(of size: Int) -> Bool {
            guard offset + 4 <= bytes.count else { return false }
            let count = Int(bytes.u32(offset))
            guard count <= main.count / size else { return false }
            offset += 4 + count * size
            return true
        }
        if flags & 0x01 != 0 { offset += 8 }  // HAS_DBINFO
        if flags & 0x02 != 0, !skipList(of: 4) { return nil }  // HAS_SUBXACTS
        if flags & 0x04 != 0, !skipList(of: 12) { return nil }  // HAS_RELFILENODES
        if let size = version.droppedStatisticsSize, flags & 0x100 != 0, !skipList(of: size) { return nil }  // HAS_DROPPED_STATS
        if kind.isCommit, flags & 0x08 != 0, !skipList(of: 16) { return nil }  // HAS_INVALS
        return flags & 0x10 != 0 ? offset : nil  // HAS_TWOPHASE
    }
}
