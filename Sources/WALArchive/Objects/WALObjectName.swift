public import PostgresFormats
public import Storage

/// The names of the log's objects: `wal/<system identifier>/<timeline>/<log>/<file>` (format.md, 12.1).
public enum WALObjectName: Hashable, Sendable {
    /// One file under the name that PostgreSQL gives it.
    case file(ArchivedFile)
    /// Consecutive segments in one object, at most 16, whose names share their first 23 digits.
    case batch(first: String, last: String)
    /// What had been received of a segment: its first `length` bytes.
    case received(segment: String, length: UInt32)

    public static let prefix = "wal/"
    /// Segments in a batch.
    public static let batchLimit = 16
    /// The digits that the segments of a batch share.
    public static let batchPrefixCount = 23

    public init?(_ name: String) {
        if let file = ArchivedFile(name: name) {
            self = .file(file)
            return
        }
        let halves = name.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        if halves.count == 2, case .segment(let first) = ArchivedFile(name: halves[0]),
            case .segment(let last) = ArchivedFile(name: halves[1]), first < last,
            first.prefix(Self.batchPrefixCount) == last.prefix(Self.batchPrefixCount)
        {
            self = .batch(first: first, last: last)
            return
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts[2] == "received", parts[1].utf8.count == 8, let length = UInt32(parts[1], radix: 16),
            WALSegment.hexadecimal(length) == parts[1], case .segment(let segment) = ArchivedFile(name: parts[0])
        else { return nil }
        self = .received(segment: segment, length: length)
    }

    public var name: String {
        switch self {
        case .file(let file): file.name
        case .batch(let first, let last): "\(first)-\(last)"
        case .received(let segment, let length): "\(segment).\(WALSegment.hexadecimal(length)).received"
        }
    }

    /// The first eight digits of the name.
    public var timeline: UInt32 {
        switch self {
        case .file(let file): file.timeline
        case .batch(let segment, _), .received(let segment, _): UInt32(segment.prefix(8), radix: 16) ?? 0
        }
    }

    public func key(systemIdentifier: UInt64) -> StoreKey {
        var folder = Self.folder(systemIdentifier: systemIdentifier, timeline: timeline)
        if let segment { folder += Self.log(of: segment) + "/" }
        return StoreKey(folder + name)
    }

    /// The first segment whose name it holds; nil for histories.
    public var segment: String? {
        switch self {
        case .file(.segment(let name)), .file(.partial(let name)), .batch(let name, _), .received(let name, _): name
        case .file(.backupHistory(let name)): String(name.prefix(24))
        case .file(.history): nil
        }
    }

    /// Whole segments that it holds.
    var segmentCount: Int {
        switch self {
        case .file(.segment): 1
        // They share all digits but the last.
        case .batch(let first, let last): Int(UInt64(last.suffix(8), radix: 16)! - UInt64(first.suffix(8), radix: 16)!) + 1
        default: 0
        }
    }

    /// What the keys of one timeline begin with.
    public static func folder(systemIdentifier: UInt64, timeline: UInt32) -> String {
        "\(prefix)\(systemIdentifier)/\(WALSegment.hexadecimal(timeline))/"
    }

    /// What the keys begin with of everything that shares the first 16 digits with a segment: 256 segments of 16 MiB, 4,096 of 1 MiB.
    public static func logFolder(systemIdentifier: UInt64, segment: String) -> String {
        folder(systemIdentifier: systemIdentifier, timeline: UInt32(segment.prefix(8), radix: 16) ?? 0) + log(of: segment) + "/"
    }

    private static func log(of segment: String) -> Substring { segment.dropFirst(8).prefix(8) }

    /// The name that a key holds, and of which system; nil for what is no object of the log.
    public static func parse(_ key: StoreKey) -> (systemIdentifier: UInt64, name: WALObjectName)? {
        let parts = key.description.split(separator: "/")
        guard (4...5).contains(parts.count), parts[0] == "wal", let system = UInt64(parts[1]), let last = parts.last,
            let name = WALObjectName(String(last)), name.key(systemIdentifier: system) == key
        else { return nil }
        return (system, name)
    }
}
