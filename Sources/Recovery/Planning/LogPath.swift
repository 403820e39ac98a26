public import PostgresFormats

/// The files that PostgreSQL will read one after the other when it follows a chain of timelines, up to the first one that is missing.
///
/// Chosen exactly as PostgreSQL does (`XLogFileReadAnyTLI`, access/transam/xlogrecovery.c): for each segment the newest timeline of the chain that
/// had begun by then is asked for first, and older ones only while the one before was not newer. So the segment in which a timeline begins may come
/// from it (with a copy of its parent's part) or, as far as that goes, from the parent.
public struct LogPath: Hashable, Sendable {
    public struct Step: Hashable, Sendable {
        public var segment: WALSegment
        /// Behind the last byte that counts.
        public var end: LogSequenceNumber
        /// The file is a parent's and goes on behind the fork, with what was abandoned: its facts tell of more than counts.
        public var isCutByFork = false
    }

    /// Why the path ends.
    public struct Cut: Hashable, Sendable {
        /// What would have to be there to go on.
        public var missing: WALSegment
        /// Behind the last byte that is there.
        public var position: LogSequenceNumber
        /// The next segment behind it that is there, if any: then this is a gap, not the end.
        public var next: WALSegment?
    }

    public let chain: TimelineChain
    public let size: WALSegmentSize
    public private(set) var steps: [Step] = []
    public private(set) var cut: Cut

    public init(_ chain: TimelineChain, _ view: any LogView, from position: LogSequenceNumber) {
        let size = view.segmentSize
        self.chain = chain
        self.size = size
        let extents = chain.parts.map { view.extent(of: $0.timeline) }
        var number = position.value / UInt64(size.bytes)
        var newest: UInt32 = 0
        while true {
            let start = LogSequenceNumber(number * UInt64(size.bytes))
            let end = LogSequenceNumber((number + 1) * UInt64(size.bytes))
            // What stands at the segment's end decides which timeline goes on.
            let wanted = WALSegment(timeline: chain.timeline(at: LogSequenceNumber(end.value - 1)), number: number)
            func next(behind number: UInt64) -> WALSegment? {
                zip(chain.parts, extents).compactMap { part, extent -> WALSegment? in
                    guard let found = extent.next(from: max(number, part.begin.value / UInt64(size.bytes))),
                        part.end.map({ found * UInt64(size.bytes) < $0.value }) ?? true
                    else { return nil }
                    return WALSegment(timeline: part.timeline, number: found)
                }.min { ($0.number, $1.timeline) < ($1.number, $0.timeline) }
            }
            guard let at = Self.choose(number, notBefore: newest, chain, extents, size) else {
                cut = Cut(missing: wanted, position: start, next: next(behind: number + 1))
                return
            }
            let part = chain.parts[at]
            if let fork = part.end, fork <= start {
                // PostgreSQL would read on in what was abandoned.
                cut = Cut(missing: wanted, position: start, next: next(behind: number + 1))
                return
            }
            let segment = WALSegment(timeline: part.timeline, number: number)
            var step = Step(segment: segment, end: end)
            if !extents[at].hasWhole(number), let length = extents[at].received[number] {
                step.end = LogSequenceNumber(start.value + UInt64(length))
            }
            if let fork = part.end, fork < end {
                step.end = min(step.end, fork)
                step.isCutByFork = true
            }
            steps.append(step)
            if step.end < end {
                cut = Cut(missing: wanted, position: step.end, next: next(behind: number + 1))
                return
            }
            newest = part.timeline
            number += 1
        }
    }

    private static func choose(
        _ number: UInt64, notBefore newest: UInt32, _ chain: TimelineChain, _ extents: [TimelineExtent], _ size: WALSegmentSize
    ) -> Int? {
        for at in chain.parts.indices.reversed() {
            let part = chain.parts[at]
            if part.timeline < newest { return nil }
            if number < part.begin.value / UInt64(size.bytes) { continue }
            if extents[at].contains(number) { return at }
        }
        return nil
    }

    /// Behind the last byte that is there.
    public var end: LogSequenceNumber { cut.position }

    /// Whether all bytes up to `position` are there.
    public func reaches(_ position: LogSequenceNumber) -> Bool { position <= end }

    /// The step that holds the byte at `position`.
    public func index(of position: LogSequenceNumber) -> Int? {
        guard let first = steps.first else { return nil }
        let number = position.value / UInt64(size.bytes)
        guard number >= first.segment.number, number - first.segment.number < UInt64(steps.count) else { return nil }
        return Int(number - first.segment.number)
    }
}
