public import RepoBase

/// A timeline and where it came from: the content of a `.history` file (`readTimeLineHistory`, access/transam/timeline.c).
///
/// Each line is `timeline TAB position TAB reason`: that timeline was left at that position, by the next line's or, behind the last line, by
/// the file's own. Timeline 1 has no file and no ancestors.
public struct TimelineHistory: Hashable, Sendable {
    public struct Ancestor: Hashable, Sendable {
        public var timeline: UInt32
        /// The first position that is no longer this timeline's.
        public var end: LogSequenceNumber
        public var reason: String

        public init(timeline: UInt32, end: LogSequenceNumber, reason: String) {
            (self.timeline, self.end, self.reason) = (timeline, end, reason)
        }
    }

    public let timeline: UInt32
    /// Ascending, the oldest first.
    public let ancestors: [Ancestor]

    /// A timeline that nothing came before.
    public init(first timeline: UInt32 = 1) {
        self.timeline = timeline
        ancestors = []
    }

    /// Nil where timelines do not ascend to `timeline`, or ends descend.
    public init?(timeline: UInt32, ancestors: [Ancestor]) {
        guard timeline > 0, Self.fault(ancestors, of: timeline) == nil else { return nil }
        self.timeline = timeline
        self.ancestors = ancestors
    }

    /// Reads a history file as PostgreSQL does: empty lines and lines that begin with a `#` do not count, nor does what follows the position.
    ///
    /// Throws `.damaged`, naming `object`, for what PostgreSQL refuses, and for what it would misread: a last line that does not end may have
    /// lost digits, and ends that descend belong to no history.
    public init(_ bytes: [UInt8], timeline: UInt32, object: String) throws(RepoError) {
        guard timeline > 0 else { throw .damagedLog(object, "a timeline cannot be 0") }
        guard bytes.count <= Self.sizeLimit else { throw .damagedLog(object, "it has \(bytes.count) bytes, too many for a history") }
        guard bytes.isEmpty || bytes.last == UInt8(ascii: "\n") else { throw .damagedLog(object, "its last line does not end") }
        var ancestors: [Ancestor] = []
        for (number, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            // The reason may quote the name of a restore point in any encoding.
            let words = line.split(maxSplits: 2, omittingEmptySubsequences: true) { $0 == 0x20 || (0x09...0x0D).contains($0) }
            guard let first = words.first, first.first != UInt8(ascii: "#") else { continue }
            guard first.allSatisfy({ (0x30...0x39).contains($0) }), let ancestor = UInt32(String(decoding: first, as: UTF8.self)), ancestor > 0,
                words.count >= 2, let end = LogSequenceNumber(String(decoding: words[1], as: UTF8.self))
            else { throw .damagedLog(object, "line \(number + 1) does not begin with a timeline and a position") }
            ancestors.append(
                Ancestor(timeline: ancestor, end: end, reason: words.count > 2 ? String(decoding: words[2], as: UTF8.self) : ""))
        }
        if let fault = Self.fault(ancestors, of: timeline) { throw .damagedLog(object, fault) }
        self.timeline = timeline
        self.ancestors = ancestors
    }

    /// Hundreds of promotions; real ones have a line of a hundred bytes for each.
    public static let sizeLimit = 1 << 20

    private static func fault(_ ancestors: [Ancestor], of timeline: UInt32) -> String? {
        var last: Ancestor?
        for ancestor in ancestors {
            if let last, ancestor.timeline <= last.timeline {
                return "timeline \(ancestor.timeline) follows timeline \(last.timeline), and they must ascend"
            }
            if let last, ancestor.end < last.end {
                return "timeline \(ancestor.timeline) ends at \(ancestor.end), before it began at \(last.end)"
            }
            last = ancestor
        }
        if let last, last.timeline >= timeline { return "it names timeline \(last.timeline) as an ancestor of timeline \(timeline)" }
        return nil
    }

    /// The file's content, as PostgreSQL writes it (`writeTimeLineHistory`), but for the empty lines it puts between.
    public var text: String {
        ancestors.map { "\($0.timeline)\t\($0.end)\t\($0.reason)\n" }.joined()
    }

    /// The timelines of this history with the positions they hold, the oldest first; the last has no end. A timeline that was left where it
    /// began holds nothing.
    public var spans: [Span] {
        var begin = LogSequenceNumber.invalid
        var result: [Span] = []
        for ancestor in ancestors {
            result.append(Span(timeline: ancestor.timeline, begin: begin, end: ancestor.end))
            begin = ancestor.end
        }
        result.append(Span(timeline: timeline, begin: begin, end: nil))
        return result
    }

    public struct Span: Hashable, Sendable {
        public var timeline: UInt32
        public var begin: LogSequenceNumber
        /// Nil for the history's own timeline, which may go on.
        public var end: LogSequenceNumber?
    }

    /// The timeline that holds the byte at `position` (`tliOfPointInHistory`).
    public func timeline(holding position: LogSequenceNumber) -> UInt32 {
        ancestors.first { position < $0.end }?.timeline ?? timeline
    }

    /// Where `ancestor` was left (`tliSwitchPoint`); nil for the history's own timeline and for one that is not in it.
    public func end(of ancestor: UInt32) -> LogSequenceNumber? { ancestors.first { $0.timeline == ancestor }?.end }

    public func contains(_ other: UInt32) -> Bool { other == timeline || ancestors.contains { $0.timeline == other } }

    /// Whether a cluster that is on timeline `other` with all of the log before `position` replayed can follow this history: that timeline is
    /// part of it, and was not left before that position (the check of `StartupXLOG` and `rescanLatestTimeLine`).
    public func leads(from other: UInt32, at position: LogSequenceNumber) -> Bool {
        if other == timeline { return ancestors.last.map { position >= $0.end } ?? true }
        guard let end = end(of: other) else { return false }
        return position <= end
    }

    /// The segment in which a recovery along this history finds the byte at `position`: PostgreSQL asks for the newest timeline whose
    /// segment exists, and the first segment of a timeline begins with a copy of the old one's.
    ///
    /// Source: `XLogFileReadAnyTLI`, access/transam/xlogrecovery.c: a timeline serves the segment in which it begins, and later ones.
    public func segment(holding position: LogSequenceNumber, size: WALSegmentSize) -> WALSegment {
        let number = position.value / UInt64(size.bytes)
        let newest = ancestors.last { $0.end.value / UInt64(size.bytes) <= number }
        // The timeline that `newest` was left for.
        let index = newest.flatMap { ancestors.firstIndex(of: $0) }.map { $0 + 1 } ?? 0
        return WALSegment(timeline: index < ancestors.count ? ancestors[index].timeline : timeline, number: number)
    }
}
