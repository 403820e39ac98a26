public import RepoBase

/// The content of `backup_label`, and of the `.backup` file that is archived when a backup ends (`build_backup_content`,
/// access/transam/xlogbackup.c; xlog.c before PostgreSQL 16).
public struct BackupLabel: Hashable, Sendable {
    /// Where replay has to begin.
    public var start: LogSequenceNumber
    public var startSegment: String
    public var checkpoint: LogSequenceNumber
    /// `streamed`, or `pg_start_backup` of exclusive backups, which ended with 14.
    public var method: String
    public var isFromStandby: Bool
    /// As it stands there, in the server's `log_timezone`, whose abbreviation need not be one that anybody knows.
    public var startTime: String
    /// What the backup was called; may have several lines.
    public var label: String
    public var startTimeline: UInt32
    /// Of an incremental backup, from PostgreSQL 17 on: where the one before it began.
    public var incrementalFrom: Incremental?
    /// In `.backup` files alone.
    public var stop: Stop?

    public struct Incremental: Hashable, Sendable {
        public var position: LogSequenceNumber
        public var timeline: UInt32
    }

    public struct Stop: Hashable, Sendable {
        public var position: LogSequenceNumber
        public var segment: String
        public var time: String
        public var timeline: UInt32
    }

    /// The file's path in the data directory.
    public static let path = "backup_label"

    /// Throws `.damaged`, naming `object`, where a line that every label has is missing or makes no sense.
    public init(_ bytes: [UInt8], object: String) throws(RepoError) {
        guard bytes.count <= 1 << 16, bytes.last == UInt8(ascii: "\n") else { throw Self.damaged(object, "its last line does not end") }
        // A label in any encoding.
        var lines = String(decoding: bytes.dropLast(), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)[...]
        func value(_ line: Substring?, _ key: String) -> String? {
            guard let line, line.hasPrefix(key + ": ") else { return nil }
            return String(line.dropFirst(key.count + 2))
        }
        // From the end on, since the label before can hold lines of any look.
        var (timeline, stopTimeline, stopTime): (UInt32?, UInt32?, String?)
        var (incremental, incrementalTimeline): (LogSequenceNumber?, UInt32?)
        while timeline == nil, let last = lines.popLast() {
            if let text = value(last, "INCREMENTAL FROM TLI") {
                incrementalTimeline = UInt32(text)
            } else if let text = value(last, "INCREMENTAL FROM LSN") {
                incremental = LogSequenceNumber(text)
            } else if let text = value(last, "STOP TIMELINE") {
                stopTimeline = UInt32(text)
            } else if let text = value(last, "STOP TIME") {
                stopTime = text
            } else {
                timeline = value(last, "START TIMELINE").flatMap { UInt32($0) }
                guard timeline != nil else { throw Self.damaged(object, "it does not end with a timeline") }
            }
        }
        guard let timeline, timeline > 0, let (start, segment) = value(lines.popFirst(), "START WAL LOCATION").flatMap(Self.location) else {
            throw Self.damaged(object, "it does not say where the backup began")
        }
        let stop = value(lines.first, "STOP WAL LOCATION").flatMap(Self.location)
        if stop != nil { lines.removeFirst() }
        guard let checkpoint = value(lines.popFirst(), "CHECKPOINT LOCATION").flatMap({ LogSequenceNumber($0) }),
            let method = value(lines.popFirst(), "BACKUP METHOD"), let from = value(lines.popFirst(), "BACKUP FROM"),
            ["primary", "master", "standby"].contains(from), let startTime = value(lines.popFirst(), "START TIME"),
            let label = value(lines.popFirst(), "LABEL")
        else { throw Self.damaged(object, "a line is missing or makes no sense") }
        guard (incremental == nil) == (incrementalTimeline == nil), (stop == nil) == (stopTimeline == nil), (stop == nil) == (stopTime == nil)
        else { throw Self.damaged(object, "a line is missing or makes no sense") }
        self.start = start
        startSegment = segment
        self.checkpoint = checkpoint
        self.method = method
        isFromStandby = from == "standby"
        self.startTime = startTime
        self.label = ([label] + lines.map(String.init)).joined(separator: "\n")
        startTimeline = timeline
        if let incremental, let incrementalTimeline { incrementalFrom = Incremental(position: incremental, timeline: incrementalTimeline) }
        if let stop, let stopTime, let stopTimeline {
            self.stop = Stop(position: stop.0, segment: stop.1, time: stopTime, timeline: stopTimeline)
        }
    }

    /// `0/2000028 (file 000000010000000000000002)`
    private static func location(_ text: String) -> (LogSequenceNumber, String)? {
        let words = text.split(separator: " ")
        guard words.count == 3, let position = LogSequenceNumber(words[0]), words[1] == "(file", words[2].hasSuffix(")") else { return nil }
        let name = String(words[2].dropLast())
        guard case .segment = ArchivedFile(name: name) else { return nil }
        return (position, name)
    }

    private static func damaged(_ object: String, _ why: String) -> RepoError {
        RepoError(.damaged, "\(object) is damaged: \(why)", advice: "Take the base backup again.")
    }
}
