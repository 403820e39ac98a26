import PostgresFormats
public import RepoBase

/// How a base backup is asked for.
public struct BaseBackupOptions: Hashable, Sendable {
    public enum Checkpoint: String, Hashable, Sendable, CaseIterable {
        /// At once, with all the I/O that takes.
        case fast
        /// Spread as the server does its own; the backup begins when it is done, perhaps minutes later.
        case spread
    }

    public var label = "repo"
    public var checkpoint = Checkpoint.fast
    /// Bytes a second that the server sends at most; nil for as fast as it can. 32 KiB to 1 GiB.
    public var maximumRate: UInt64?
    /// The log from start to stop comes at the end of the files.
    public var includesLog = false

    public init() {}

    static let rateRange: ClosedRange<UInt64> = 32...1_048_576

    /// Throws `.usage` for what the server would refuse.
    public func validate() throws(RepoError) {
        guard label.utf8.count <= 1024, !label.utf8.contains(10), !label.utf8.contains(13) else {
            throw RepoError(.usage, "the label is longer than 1,024 bytes or has several lines")
        }
        if let maximumRate, !Self.rateRange.contains(maximumRate / 1024) {
            throw RepoError(.usage, "the server's rate can be limited to 32 KiB to 1 GiB a second, not \(ByteCount.describe(maximumRate))")
        }
    }

    /// `BASE_BACKUP` as this version has it: from 15 on with options in parentheses, before as keywords. 15 refuses the keywords.
    ///
    /// The server verifies page checksums as well, since it alone can read a page again that was being written; it then sends the second reading.
    func command(_ version: PostgresVersion) -> String {
        guard version.major >= 15 else {
            var words = ["BASE_BACKUP", "LABEL \(SQLText.literal(label))", "PROGRESS"]
            if checkpoint == .fast { words.append("FAST") }
            if includesLog { words.append("WAL") }
            words.append("NOWAIT")
            if let maximumRate { words.append("MAX_RATE \(maximumRate / 1024)") }
            return (words + ["TABLESPACE_MAP", "MANIFEST 'yes'", "MANIFEST_CHECKSUMS 'CRC32C'"]).joined(separator: " ")
        }
        var options = [
            "LABEL \(SQLText.literal(label))", "PROGRESS", "CHECKPOINT '\(checkpoint.rawValue)'", "WAIT 'false'",
            "WAL '\(includesLog)'", "TABLESPACE_MAP", "MANIFEST 'yes'", "MANIFEST_CHECKSUMS 'CRC32C'", "TARGET 'client'",
        ]
        if let maximumRate { options.append("MAX_RATE \(maximumRate / 1024)") }
        return "BASE_BACKUP (\(options.joined(separator: ", ")))"
    }
}
