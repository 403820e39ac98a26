public import PostgresFormats
import RepoBase
import Repository
import Storage

/// What the archive has of one cluster's log, from one listing.
public struct WALInventory: Sendable {
    public let systemIdentifier: UInt64
    /// Ascending.
    public let timelines: [WALTimeline]
    /// What lies below `wal/<system>/` and is no object of the log.
    public let strays: [String]

    public subscript(timeline: UInt32) -> WALTimeline? { timelines.first { $0.timeline == timeline } }
}

extension WALArchive {
    /// Lists everything that there is of a cluster's log. One request for each timeline, and one for its segment size; 200,000 segments take
    /// about a quarter of a second on a local disk. Throws `.damaged` where no segment of a timeline tells its size.
    public func inventory(of system: UInt64) throws -> WALInventory {
        let before = repository.freshness?.memory()
        let (names, others) = try timelineNames(of: system)
        let timelines = try names.compactMap { names in try segmentSize(of: names, system).map(names.timeline) }
        let strays = others + names.flatMap(\.strays)
        if let before {
            try repository.freshness?.compareLog(ofCluster: system, names.flatMap(\.newest), since: before, repository) { try newestNames(of: system) }
        }
        return WALInventory(systemIdentifier: system, timelines: timelines, strays: strays)
    }

    /// The newest of each timeline's whole segments, by names.
    func newestNames(of system: UInt64) throws -> [(key: StoreKey, last: UInt64)] {
        try timelineNames(of: system).timelines.flatMap(\.newest)
    }

    /// By timeline, ascending; and folders that are none.
    private func timelineNames(of system: UInt64) throws -> (timelines: [TimelineNames], others: [String]) {
        var timelines: [TimelineNames] = []
        var others: [String] = []
        for folder in try store.folders(in: "wal/\(system)").sorted() {
            guard let timeline = UInt32(folder, radix: 16), WALSegment.hexadecimal(timeline) == folder else {
                others.append("wal/\(system)/\(folder)")
                continue
            }
            var names = TimelineNames(system: system, timeline: timeline)
            try store.listKeys(WALObjectName.folder(systemIdentifier: system, timeline: timeline)) { names.add($0) }
            timelines.append(names)
        }
        return (timelines, others)
    }

    /// The segment size of a timeline, which its objects tell: the newest that reads. The standard one where there is nothing but a history.
    private func segmentSize(of names: TimelineNames, _ system: UInt64) throws -> WALSegmentSize? {
        guard names.isAnything else { return nil }
        var problem: (any Error)?
        var tries = 0
        for name in names.candidatesForSize where tries < 16 {
            tries += 1
            do {
                if let size = try open(name, system: system).description.segmentSize { return size }
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                problem = problem ?? error
            }
        }
        if let problem { throw problem }
        return .standard
    }

    /// A timeline's history; nil when the archive has none. Timeline 1 has none and needs none.
    public func history(of timeline: UInt32, system: UInt64) throws -> TimelineHistory? {
        if timeline == 1 { return TimelineHistory() }
        guard let content = try content(of: .history(timeline: timeline), system: system) else { return nil }
        let key = WALObjectName.file(.history(timeline: timeline)).key(systemIdentifier: system)
        return try TimelineHistory(withExtendedLifetime(content) { Array(content.bytes) }, timeline: timeline, object: "\(key)")
    }
}

/// The names of a timeline's objects, taken apart byte by byte: there may be hundreds of thousands.
private struct TimelineNames {
    private let prefix: [UInt8]
    private let system: UInt64
    private let timelineNumber: UInt32
    /// The last sixteen digits of first and last name, as two numbers of eight digits each.
    private var segments: [(first: UInt64, last: UInt64)] = []
    private var others: [WALObjectName] = []
    private(set) var strays: [String] = []

    init(system: UInt64, timeline: UInt32) {
        self.system = system
        timelineNumber = timeline
        prefix = Array(WALObjectName.folder(systemIdentifier: system, timeline: timeline).utf8)
    }

    var isAnything: Bool { !segments.isEmpty || !others.isEmpty }

    mutating func add(_ key: StoreKey) {
        if let parsed = fast(key) {
            segments.append(parsed)
        } else if let (owner, name) = WALObjectName.parse(key), owner == system, name.timeline == timelineNumber {
            others.append(name)
        } else {
            strays.append(key.description)
        }
    }

    /// `…/<8 digits>/<24 digits>` and `…/<8 digits>/<24 digits>-<24 digits>`; nil for everything else.
    private func fast(_ key: StoreKey) -> (first: UInt64, last: UInt64)? {
        var text = key.description
        return text.withUTF8 { bytes -> (first: UInt64, last: UInt64)? in
            let start = prefix.count
            let length = bytes.count - start
            guard length == 33 || length == 58, bytes.starts(with: prefix), bytes[start + 8] == UInt8(ascii: "/") else { return nil }
            func digits(_ from: Int, _ count: Int) -> UInt64? {
                var value: UInt64 = 0
                for byte in bytes[from..<from + count] {
                    switch byte {
                    case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
                    case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt64(byte - UInt8(ascii: "A") + 10)
                    default: return nil
                    }
                }
                return value
            }
            guard let log = digits(start, 8), digits(start + 9, 8) == UInt64(timelineNumber), let first = digits(start + 17, 16),
                first >> 32 == log
            else { return nil }
            if length == 33 { return (first, first) }
            guard bytes[start + 33] == UInt8(ascii: "-"), digits(start + 34, 8) == UInt64(timelineNumber),
                let last = digits(start + 42, 16), last > first, last >> 4 == first >> 4
            else { return nil }
            return (first, last)
        }
    }

    /// Objects that tell the segment size, the newest first.
    var candidatesForSize: [WALObjectName] {
        let newest = segments.max { $0.last < $1.last }
        let oldest = segments.min { $0.first < $1.first }
        let picked = [newest, oldest].compactMap { $0 } + segments.prefix(6)
        return picked.map(name) + others.filter { $0.segment != nil }.prefix(8)
    }

    /// The newest object of whole segments, and the last sixteen digits of its last one.
    var newest: [(key: StoreKey, last: UInt64)] {
        segments.max { $0.last < $1.last }.map { [(name($0).key(systemIdentifier: system), $0.last)] } ?? []
    }

    private func name(_ pair: (first: UInt64, last: UInt64)) -> WALObjectName {
        let first = WALSegment.hexadecimal(timelineNumber) + hexadecimal(pair.first)
        return pair.first == pair.last
            ? .file(.segment(name: first)) : .batch(first: first, last: WALSegment.hexadecimal(timelineNumber) + hexadecimal(pair.last))
    }

    private func hexadecimal(_ value: UInt64) -> String {
        WALSegment.hexadecimal(UInt32(value >> 32)) + WALSegment.hexadecimal(UInt32(truncatingIfNeeded: value))
    }

    func timeline(_ size: WALSegmentSize) -> WALTimeline {
        func number(_ digits: UInt64) -> UInt64 { (digits >> 32) * size.segmentsPerLog + (digits & 0xFFFF_FFFF) }
        func number(_ name: String) -> UInt64? { WALSegment(name: name, size: size)?.number }
        var partials: [UInt64] = []
        var received: [(number: UInt64, length: UInt32)] = []
        var labels: [(number: UInt64, name: String)] = []
        var hasHistory = false
        for other in others {
            switch other {
            case .file(.history): hasHistory = true
            case .file(.partial(let segment)): if let number = number(segment) { partials.append(number) }
            case .file(.backupHistory(let name)): if let number = number(String(name.prefix(24))) { labels.append((number, name)) }
            case .received(let segment, let length): if let number = number(segment) { received.append((number, length)) }
            case .file(.segment), .batch: continue  // Taken apart above.
            }
        }
        return WALTimeline(
            timeline: timelineNumber, segmentSize: size,
            objects: segments.map { .init(first: number($0.first), last: number($0.last)) }, partials: partials, received: received,
            backupLabels: labels, hasHistory: hasHistory)
    }
}
