import Policy
import PostgresFormats
import RepoBase

/// Why a moment cannot be recovered, and which moments around it can: exit status 13.
enum Refusal {
    static func text(_ time: FileTime) -> String {
        (try? Timestamp(seconds: time.seconds, nanoseconds: Int32(time.nanoseconds))).map(TimeText.utc) ?? "\(time.seconds)"
    }

    static func text(_ time: PostgresTime) -> String { text(time.fileTime) }

    private static func refusal(_ message: String, _ advice: [String?]) -> RepoError {
        RepoError(.timeNotRecoverable, message, advice: advice.compactMap { $0 }.joined(separator: " "))
    }

    static func noBackup(on chain: TimelineChain, of backups: [BaseBackup]) -> RepoError {
        let timelines = Set(backups.map(\.facts.timeline)).sorted().map(String.init).joined(separator: ", ")
        return refusal(
            "no base backup lies on the history of timeline \(chain.timeline)",
            ["There are backups of timelines \(timelines); choose with --timeline."])
    }

    /// A backup's own log is not whole.
    static func logMissing(
        for backup: BaseBackup, _ missing: WALSegment, _ size: WALSegmentSize, before next: BaseBackup? = nil
    ) -> RepoError {
        refusal(
            "base backup \(backup.id.short) of \(text(backup.time)) cannot be used: segment \(missing.name(size)) of its log is missing",
            [
                next.map { "The next moment that can be recovered is \(text($0.facts.stopTime)), from base backup \($0.id.short)." }
                    ?? "No other base backup can reach this moment.",
                "If the server still has the segment in pg_wal, push it with 'repo wal push'.",
            ])
    }

    static func tooEarly(_ time: FileTime, oldest: BaseBackup, from earliest: FileTime) -> RepoError {
        refusal(
            "\(text(time)) lies before what can be recovered",
            ["The earliest moment is \(text(earliest)), from base backup \(oldest.id.short)."])
    }

    static func tooEarly(_ position: LogSequenceNumber, oldest: BaseBackup) -> RepoError {
        refusal(
            "position \(position) lies before what can be recovered",
            ["The earliest is \(oldest.facts.stop), where base backup \(oldest.id.short) is consistent."])
    }

    private static func cut(_ path: LogPath, _ size: WALSegmentSize) -> String {
        if let next = path.cut.next {
            return "segment \(path.cut.missing.name(size)) is missing (the log goes on at \(next.name(size)))"
        }
        return "the archive's log ends at \(path.end), before segment \(path.cut.missing.name(size))"
    }

    static func endsBefore(
        _ time: FileTime, _ path: LogPath, _ proven: PostgresTime?, after next: BaseBackup?, size: WALSegmentSize
    ) -> RepoError {
        refusal(
            "\(text(time)) cannot be recovered: \(cut(path, size))",
            [
                proven.map { "The latest moment before is \(text($0))." } ?? "Nothing tells which moment the log before reaches.",
                next.map { "The next after is \(text($0.facts.stopTime)), from base backup \($0.id.short)." },
                path.cut.next == nil ? "--latest recovers all there is." : nil,
            ])
    }

    static func endsBefore(
        _ position: LogSequenceNumber, _ path: LogPath, _ end: LogSequenceNumber, after next: BaseBackup?, size: WALSegmentSize
    ) -> RepoError {
        refusal(
            "position \(position) cannot be recovered: \(cut(path, size))",
            [
                "The latest position before is \(end).",
                next.map { "The next after is \($0.facts.stop), from base backup \($0.id.short)." },
                path.cut.next == nil ? "--latest recovers all there is." : nil,
            ])
    }

    static func noTransaction(_ transaction: UInt32, in stretches: LogStretches, oldest: BaseBackup) -> RepoError {
        let gaps = stretches.paths.dropLast().map { $0.cut.missing.name($0.size) }
        return refusal(
            "no end of transaction \(transaction) is in the log behind base backup \(oldest.id.short)",
            [
                "A subtransaction has no end of its own: name the transaction that it belongs to.",
                gaps.isEmpty ? nil : "It may have been in what is missing from \(gaps.joined(separator: ", ")) on.",
            ])
    }

    static func noRestorePoint(_ name: String, oldest: BaseBackup) -> RepoError {
        refusal(
            "no restore point '\(name)' is in the log behind base backup \(oldest.id.short)",
            ["pg_create_restore_point makes one; names are compared exactly."])
    }

    static func ambiguous(_ name: String, _ points: [WALFacts.RestorePoint]) -> RepoError {
        let list = points.sorted { $0.position < $1.position }.map { "\($0.position) of \(text($0.time))" }.joined(separator: ", ")
        return RepoError(
            .usage, "restore point '\(name)' was made \(points.count) times: \(list)", advice: "Choose one with --target-lsn.")
    }

    static func adding(_ timelines: [UInt32], to error: RepoError) -> RepoError {
        let list = timelines.map(String.init).joined(separator: ", ")
        return RepoError(
            error.code, error.message, advice: error.advice + " Timeline \(list) holds this moment: --timeline \(timelines[0]).")
    }
}
