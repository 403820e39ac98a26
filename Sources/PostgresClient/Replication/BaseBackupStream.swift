import CPQ
import Glibc
public import PostgresFormats
public import RepoBase

/// Where a base backup begins or ends.
public struct BackupPosition: Hashable, Sendable {
    public let position: LogSequenceNumber
    public let timeline: UInt32
}

/// One archive that a base backup consists of.
public struct BackupTablespace: Hashable, Sendable {
    /// Nil for the data directory.
    public let oid: UInt32?
    /// Where it stands on the server; relative for a tablespace that was made within the data directory.
    public let location: String
    /// By the server's estimate.
    public let bytes: UInt64
}

/// A piece of a base backup, in the order in which it comes.
public enum BackupPiece: ~Copyable {
    /// The next archive begins; nil is the data directory's.
    case archive(oid: UInt32?)
    /// The next bytes of the archive, or of the manifest.
    case data(BackupData)
    /// The manifest's bytes follow.
    case manifest
    /// Everything has come.
    case end
}

/// Bytes in libpq's memory.
public struct BackupData: ~Copyable {
    private let message: CopyMessage
    /// Bytes of the protocol before ours.
    private let skipped: Int

    init(_ message: consuming CopyMessage, skipping skipped: Int) {
        self.message = message
        self.skipped = skipped
    }

    /// Valid while this value lives.
    public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try message.withBytes { (bytes) throws(E) -> R in try body(UnsafeRawBufferPointer(rebasing: bytes[skipped...])) }
    }
}

/// A base backup on its way (BASE_BACKUP of PostgreSQL 13 and newer, "Streaming Replication Protocol").
///
/// `PostgresConnection.startBaseBackup`, then `next` until `.end`, then `finish`.
public final class BaseBackupStream {
    private let connection: PostgresConnection
    public let start: BackupPosition
    /// The data directory comes last.
    public let tablespaces: [BackupTablespace]

    /// 13 and 14: one copy for each archive in the order of `tablespaces`, then one for the manifest. 15 and newer: one copy, each message with
    /// its kind in the first byte.
    private let hasKinds: Bool
    private var copies = 0
    private var isInCopy = false
    private var stop: BackupPosition?

    init(_ connection: PostgresConnection, _ options: BaseBackupOptions) throws(RepoError) {
        self.connection = connection
        hasKinds = connection.version.major >= 15
        let command = options.command(connection.version)
        try connection.send(command)
        start = try Self.position(try Self.rows(connection, command))
        let answer = try Self.rows(connection, command)
        var list: [BackupTablespace] = []
        for row in 0..<answer.rowCount {
            var oid: UInt32?
            if answer[row, 0] != nil { oid = try answer.value(row, 0, "tablespace") }
            let kilobytes: UInt64 = answer[row, 2].flatMap { UInt64($0) } ?? 0
            list.append(BackupTablespace(oid: oid, location: answer[row, 1] ?? "", bytes: kilobytes * 1024))
        }
        guard list.last?.oid == nil, !list.isEmpty else {
            throw RepoError(.sourceFailed, "the server's list of tablespaces does not end with the data directory")
        }
        tablespaces = list
    }

    private static func rows(_ connection: PostgresConnection, _ command: String) throws(RepoError) -> QueryResult {
        guard let result = try connection.nextResult() else { throw connection.lost() }
        guard PQresultStatus(result) == PGRES_TUPLES_OK else { throw connection.unexpected(result, command) }
        return QueryResult(result)
    }

    private static func position(_ answer: QueryResult) throws(RepoError) -> BackupPosition {
        BackupPosition(position: try answer.position(0, 0), timeline: try answer.value(0, 1, "timeline"))
    }

    /// The next piece. Throws when the server gives up, or the connection is lost: then nothing that came is of use.
    public func next() throws(RepoError) -> BackupPiece {
        if !isInCopy {
            // One copy in all, or one for each archive and one for the manifest.
            guard copies < (hasKinds ? 1 : tablespaces.count + 1) else {
                // A copy that the server broke off looks like one that is complete, until its reason is read here.
                if stop == nil { stop = try Self.position(try Self.rows(connection, "BASE_BACKUP")) }
                return .end
            }
            try connection.expectCopy(PGRES_COPY_OUT, "BASE_BACKUP")
            isInCopy = true
            copies += 1
            if !hasKinds { return copies <= tablespaces.count ? .archive(oid: tablespaces[copies - 1].oid) : .manifest }
        }
        while let message = try connection.copyMessage() {
            guard hasKinds else { return .data(BackupData(message, skipping: 0)) }
            let kind = message.withBytes { $0.isEmpty ? 0 : $0[0] }
            switch kind {
            case UInt8(ascii: "d"): return .data(BackupData(message, skipping: 1))
            case UInt8(ascii: "n"): return .archive(oid: try Self.archive(message))
            case UInt8(ascii: "m"): return .manifest
            // How much was done by the server's count: ours is as good.
            case UInt8(ascii: "p"): continue
            default:
                throw RepoError(.sourceFailed, "the server sent a message of the unknown kind \(kind) in a base backup")
            }
        }
        isInCopy = false
        return try next()
    }

    /// The name of an archive, `base.tar` or `<oid>.tar`, then the tablespace's path, each ended by a zero.
    private static func archive(_ message: borrowing CopyMessage) throws(RepoError) -> UInt32? {
        let name = message.withBytes { bytes in
            String(decoding: bytes.dropFirst().prefix { $0 != 0 }, as: UTF8.self)
        }
        if name == "base.tar" { return nil }
        guard name.hasSuffix(".tar"), let oid = UInt32(name.dropLast(4)) else {
            throw RepoError(.sourceFailed, "the server sent an archive named '\(name)' in a base backup")
        }
        return oid
    }

    /// What a base backup ended with.
    public struct End: Sendable {
        public let stop: BackupPosition
        /// The server found pages with wrong checksums; its warnings name up to five of each file.
        public let hasDamagedPages: Bool
    }

    /// Takes the end of the backup, after `.end`.
    public func finish() throws(RepoError) -> End {
        guard let stop else { preconditionFailure("the backup is not at its end") }
        var hasDamagedPages = false
        while let result = try connection.nextResult() {
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK: PQclear(result)
            default:
                // Raised after everything was sent: the backup is whole, and damaged as the cluster is (ERRCODE_DATA_CORRUPTED).
                guard ServerFailure.Fields(result).state == "XX001" else { throw connection.refused(result, "BASE_BACKUP") }
                hasDamagedPages = true
                PQclear(result)
            }
        }
        return End(stop: stop, hasDamagedPages: hasDamagedPages)
    }
}

extension PostgresConnection {
    /// Starts a base backup: waits for the server's checkpoint, then for its list of tablespaces. On a physical replication connection.
    public func startBaseBackup(_ options: BaseBackupOptions) throws(RepoError) -> BaseBackupStream {
        try version.requireSupported()
        try options.validate()
        return try BaseBackupStream(self, options)
    }
}
