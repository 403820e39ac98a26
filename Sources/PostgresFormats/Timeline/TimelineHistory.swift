public import RepoBase

/// A timeline and where it came from: the content of a `.history` file (`readTimeLineHistory`, access/transam/timeline.c).
///
/// Each line is `timeline TAB position TAB reason`: that timeline was left at that position, by the next line's or, behind the last line, by
/// the file's own. Timeline 1 has no file and no ancestors.
public struct TimelineHistory: Hashable, Sendable {
    public struct Ancestor: Hashable, Sendable {
        public var timeline: UInt32
        /// Where it was left, as the file says. An ancestor of a later line may have been left earlier: see `spans`.
        public var end: LogSequenceNumber
        public var reason: String

        public init(timeline: UInt32, end: LogSequenceNumber, reason: String) {
            (self.timeline, self.end, self.reason) = (timeline, end, reason)
        }
    }

    public let timeline: UInt32
    /// As the file lists them: timelines ascend.
    public let ancestors: [Ancestor]
    /// The first position that is no longer each ancestor's: its own end, or where a later one was left, if that comes first. Ascending.
    private let ends: [LogSequenceNumber]

    /// A timeline that nothing came before.
    public init(first timeline: UInt32 = 1) {
        self.timeline = timeline
        ancestors = []
        ends = []
    }

    /// Nil where timelines do not ascend to `timeline`.
    public init?(timeline: UInt32, ancestors: [Ancestor]) {
        guard timeline > 0, Self.fault(ancestors, of: timeline) == nil else { return nil }
        self.timeline = timeline
        self.ancestors = ancestors
        ends = Self.effectiveEnds(ancestors)
    }

    /// Reads a history file as PostgreSQL does: empty lines and lines that begin with a `#` do not count, nor does what follows the position.
    ///
    /// Throws `.damaged`, naming `object`, for what PostgreSQL refuses, and for what it would misread: a last line that does not end may have
    /// lost digits. Ends may descend: a server that is told to follow timeline 2 and stops before that began writes
    /// that it left 2 there, on timeline 1's log (`writeTimeLineHistory` with `recoveryTargetTLI`, access/transam/xlog.c).
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
        ends = Self.effectiveEnds(ancestors)
    }

    /// Hundreds of promotions; real ones have a line of a hundred bytes for each.
    public static let sizeLimit = 1 << 20

    private static func fault(_ ancestors: [Ancestor], of timeline: UInt32) -> String? {
        var last: Ancestor?
        for ancestor in ancestors {
            if let last, ancestor.timeline <= last.timeline {
                return "timeline \(ancestor.timeline) follows timeline \(last.timeline), and they must ascend"
            }
            last = ancestor
        }
        if let last, last.timeline >= timeline { return "it names timeline \(last.timeline) as an ancestor of timeline \(timeline)" }
        return nil
    }

    /// Each timeline's end, or that of a newer one where it lies before: PostgreSQL looks for the newest timeline that had begun at a position
    /// (`tliOfPointInHistory`), which gives the same answers.
    private static func effectiveEnds(_ ancestors: [Ancestor]) -> [LogSequenceNumber] {
        var ends = ancestors.map(\.end)
        for index in ends.indices.dropLast().reversed() { ends[index] = min(ends[index], ends[index + 1]) }
        return ends
    }

    /// The file's content, as PostgreSQL writes it (`writeTimeLineHistory`), but for the empty lines it puts between.
    public var text: String {
        ancestors.map { "\($0.timeline)\t\($0.end)\t\($0.reason)\n" }.joined()
    }

    /// The timelines of this history with the positions they hold, the oldest first and ascending; the last has no end. A timeline that was
    /// left where it began, or before, holds nothing.
    public var spans: [Span] {
        var begin = LogSequenceNumber.invalid
        var result: [Span] = []
        for (ancestor, end) in zip(ancestors, ends) {
            result.append(Span(timeline: ancestor.timeline, begin: begin, end: end))
            begin = end
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
        ends.firstIndex { position < $0 }.map { ancestors[$0].timeline } ?? timeline
    }

    /// The first position that is no longer `ancestor`'s (`tliSwitchPoint`, but for ends that descend); nil for the history's own timeline and
    /// for one that is not in it.
    public func end(of ancestor: UInt32) -> LogSequenceNumber? { ancestors.firstIndex { $0.timeline == ancestor }.map { ends[$0] } }

    public func contains(_ other: UInt32) -> Bool { other == timeline || ancestors.contains { $0.timeline == other } }

    /// Whether a cluster that is on timeline `other` with all of the log before `position` replayed can follow this history: that timeline is
    /// part of it, and was not left before that position (the check of `StartupXLOG` and `rescanLatestTimeLine`).
    public func leads(from other: UInt32, at position: LogSequenceNumber) -> Bool {
        if other == timeline { return ends.last.map { position >= $0 } ?? true }
        guard let end = end(of: other) else { return false }
        return position <= end
    }

    /// The segment in which a recovery along this history finds the byte at `position`: PostgreSQL asks for the newest timeline whose
    /// segment exists, and the first segment of a timeline begins with a copy of the old one's.
    ///
    /// Source: `XLogFileReadAnyTLI`, access/transam/xlogrecovery.c: a timeline serves the segment in which it begins, and later ones.
    public func segment(holding position: LogSequenceNumber, size: WALSegmentSize) -> WALSegment {
        let number = position.value / UInt64(size.bytes)
        // The one behind the newest that was left by then.
        let index = ends.lastIndex { $0.value / UInt64(size.bytes) <= number }.map { $0 + 1 } ?? 0
        return WALSegment(timeline: index < ancestors.count ? ancestors[index].timeline : timeline, number: number)
    }
}
