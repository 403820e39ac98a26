public import RepoBase

/// The manifest of a base backup: every file with size and checksum, and the log that the backup needs (backup/backup_manifest.c; the format is
/// documented in chapter "Backup Manifest Format" of PostgreSQL's manual). PostgreSQL 13 and newer.
///
/// Memory: the bytes given, and about 150 bytes for each file.
public struct BackupManifest: Sendable {
    /// `pg_checksum_type` (common/checksum_helper.h).
    public enum ChecksumAlgorithm: String, Hashable, Sendable {
        case none = "NONE"
        case crc32c = "CRC32C"
        case sha224 = "SHA224"
        case sha256 = "SHA256"
        case sha384 = "SHA384"
        case sha512 = "SHA512"

        /// Bytes of a checksum. Those of CRC-32C are little-endian.
        public var size: Int {
            switch self {
            case .none: 0
            case .crc32c: 4
            case .sha224: 28
            case .sha256: 32
            case .sha384: 48
            case .sha512: 64
            }
        }
    }

    public struct File: Hashable, Sendable {
        /// Below the data directory; those of tablespaces below `pg_tblspc/<oid>`. Bytes, since names need not be UTF-8.
        public var path: [UInt8]
        public var size: UInt64
        /// `2026-11-21 08:40:00 GMT`, as it stands there.
        public var lastModified: String
        public var algorithm: ChecksumAlgorithm
        public var checksum: [UInt8]
    }

    public struct LogRange: Hashable, Sendable {
        public var timeline: UInt32
        public var start: LogSequenceNumber
        public var end: LogSequenceNumber
    }

    /// 1; from PostgreSQL 17 on 2, which knows the system identifier.
    public private(set) var version: UInt64 = 0
    public private(set) var systemIdentifier: UInt64?
    public private(set) var files: [File] = []
    /// In which order timelines stand is not defined; one range for each timeline that the backup needs.
    public private(set) var logRanges: [LogRange] = []

    /// Reads a manifest and verifies its own checksum.
    ///
    /// - Parameter sha256: the digest of some bytes. This module has no cryptography of its own; the caller's is used, and cannot be left out.
    ///
    /// Throws `.damaged`, naming `object`, for anything that PostgreSQL does not write: another checksum, a path twice or that leads out of the
    /// data directory, a missing part; `.failed` for a newer format.
    public init(
        _ bytes: UnsafeRawBufferPointer, object: String, sha256: (UnsafeRawBufferPointer) throws(RepoError) -> [UInt8]
    ) throws(RepoError) {
        var scanner = ManifestScanner(bytes, object: object)
        var checksum: [UInt8]?
        var seen: Set<String> = []
        try scanner.object { (scanner, name) throws(RepoError) in
            guard seen.insert(name).inserted else { throw scanner.fail("\(name) stands there twice") }
            guard seen.count > 1 || name == "PostgreSQL-Backup-Manifest-Version" else { throw scanner.fail("it does not begin with its version") }
            guard checksum == nil else { throw scanner.fail("something follows its checksum") }
            switch name {
            case "PostgreSQL-Backup-Manifest-Version": version = try scanner.number()
                guard (1...2).contains(version) else {
                    throw RepoError(
                        .failed, "\(object) has version \(version) of its format, and this version of repo knows 1 and 2",
                        advice: "Use a later version of repo.")
                }
            case "System-Identifier": systemIdentifier = try scanner.number()
            case "Files":
                try scanner.array { (scanner) throws(RepoError) in files.append(try Self.file(&scanner)) }
            case "WAL-Ranges":
                try scanner.array { (scanner) throws(RepoError) in logRanges.append(try Self.logRange(&scanner)) }
            case "Manifest-Checksum": checksum = Hexadecimal.bytes(try scanner.text())
                guard checksum?.count == 32 else { throw scanner.fail("its checksum is not one") }
            default: throw scanner.fail("there is an unknown part, \(name)")
            }
        }
        try scanner.expectEnd()
        guard let checksum, seen.contains("Files"), seen.contains("WAL-Ranges"), version == 1 || systemIdentifier != nil else {
            throw scanner.fail("a part is missing")
        }
        // verify_manifest_checksum, common/parse_manifest.c: everything but the last line.
        guard bytes.last == UInt8(ascii: "\n"), let line = bytes.dropLast().lastIndex(of: UInt8(ascii: "\n")) else {
            throw scanner.fail("its last line does not end")
        }
        guard try sha256(UnsafeRawBufferPointer(rebasing: bytes[...line])) == checksum else {
            throw RepoError(.damaged, "\(object) is damaged: its checksum is wrong", advice: "Take the base backup again.")
        }
        try requireDistinctPaths(object)
    }

    private func requireDistinctPaths(_ object: String) throws(RepoError) {
        var paths = Set<[UInt8]>(minimumCapacity: files.count)
        for file in files where !paths.insert(file.path).inserted {
            throw RepoError(
                .damaged, "\(object) is damaged: it lists \(String(decoding: file.path, as: UTF8.self)) twice",
                advice: "Take the base backup again.")
        }
    }

    private static func file(_ scanner: inout ManifestScanner) throws(RepoError) -> File {
        var path: [UInt8]?
        var size: UInt64?
        var modified = ""
        var algorithm: ChecksumAlgorithm?
        var checksum: [UInt8]?
        try scanner.object { (scanner, name) throws(RepoError) in
            switch name {
            case "Path", "Encoded-Path":
                guard path == nil else { throw scanner.fail("a file has two paths") }
                let text = try scanner.text()
                path = name == "Path" ? text : Hexadecimal.bytes(text)
                guard let path, isInside(path) else { throw scanner.fail("a file's path leads out of the data directory") }
            case "Size": size = try scanner.number()
            case "Last-Modified": modified = String(decoding: try scanner.text(), as: UTF8.self)
            case "Checksum-Algorithm":
                algorithm = ChecksumAlgorithm(rawValue: String(decoding: try scanner.text(), as: UTF8.self))
                guard algorithm != nil else { throw scanner.fail("a file has a checksum of an unknown kind") }
            case "Checksum":
                checksum = Hexadecimal.bytes(try scanner.text())
                guard checksum != nil else { throw scanner.fail("a file's checksum is not one") }
            default: throw scanner.fail("a file has an unknown part, \(name)")
            }
        }
        guard let path, let size else { throw scanner.fail("a file has no path or no size") }
        // `NONE` leaves both out (AddFileToBackupManifest).
        guard (checksum?.count ?? 0) == (algorithm ?? .none).size else { throw scanner.fail("a file's checksum has the wrong length") }
        return File(path: path, size: size, lastModified: modified, algorithm: algorithm ?? .none, checksum: checksum ?? [])
    }

    /// Relative, without empty or dotted parts.
    private static func isInside(_ path: [UInt8]) -> Bool {
        !path.isEmpty && !path.contains(0)
            && path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
                !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
            }
    }

    private static func logRange(_ scanner: inout ManifestScanner) throws(RepoError) -> LogRange {
        var timeline: UInt32?
        var (start, end): (LogSequenceNumber?, LogSequenceNumber?)
        try scanner.object { (scanner, name) throws(RepoError) in
            switch name {
            case "Timeline": timeline = UInt32(exactly: try scanner.number())
            case "Start-LSN": start = LogSequenceNumber(String(decoding: try scanner.text(), as: UTF8.self))
            case "End-LSN": end = LogSequenceNumber(String(decoding: try scanner.text(), as: UTF8.self))
            default: throw scanner.fail("a range of the log has an unknown part, \(name)")
            }
        }
        guard let timeline, let start, let end, timeline > 0, start <= end else { throw scanner.fail("a range of the log makes no sense") }
        return LogRange(timeline: timeline, start: start, end: end)
    }
}
