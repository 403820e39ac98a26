public import PostgresFormats
import RepoBase

/// The way from one timeline back to the first, and what the archive has along it.
public struct WALLineage: Sendable {
    public let history: TimelineHistory
    /// False where the archive lacks the history of a timeline above 1: then only that timeline itself is known.
    public let isKnown: Bool
    private let inventory: WALInventory

    public init(_ history: TimelineHistory?, timeline: UInt32, _ inventory: WALInventory) {
        self.history = history ?? TimelineHistory(first: timeline)
        isKnown = history != nil
        self.inventory = inventory
    }

    /// The timeline's segments, by position: a timeline serves the segment in which it begins (`XLogFileReadAnyTLI`, access/transam/xlogrecovery.c).
    public struct Stretch: Hashable, Sendable {
        public var timeline: UInt32
        public var first: UInt64
        /// Nil for the last timeline, which may go on.
        public var last: UInt64?
    }

    /// What recovery reads from the segment `first` of `timeline` on; empty where that timeline does not lead here.
    public func stretches(from first: UInt64, on timeline: UInt32, size: WALSegmentSize) -> [Stretch] {
        let spans = history.spans
        guard let start = spans.firstIndex(where: { $0.timeline == timeline }) else { return [] }
        var stretches: [Stretch] = []
        var next = first
        for span in spans[start...] {
            guard let end = span.end else {
                stretches.append(Stretch(timeline: span.timeline, first: max(next, span.begin.value / UInt64(size.bytes)), last: nil))
                break
            }
            let border = end.value / UInt64(size.bytes)
            if border > next {
                stretches.append(Stretch(timeline: span.timeline, first: next, last: border - 1))
                next = border
            }
        }
        return stretches
    }

    /// How far the archive reaches from a backup along this lineage, without a gap: the last segment and its timeline. Nil where not even the
    /// backup's own log is there, or it does not lead here.
    public func reach(of backup: BaseBackup) -> (timeline: UInt32, segment: UInt64, isComplete: Bool)? {
        guard backup.facts.timeline == history.timeline || history.leads(from: backup.facts.timeline, at: backup.facts.stop) else { return nil }
        var reached: (timeline: UInt32, segment: UInt64, isComplete: Bool)?
        for stretch in stretches(from: backup.firstSegment, on: backup.facts.timeline, size: backup.facts.segmentSize) {
            guard let timeline = inventory[stretch.timeline], let run = timeline.run(holding: stretch.first) else { break }
            if let last = stretch.last {
                guard run.upperBound >= last else {
                    reached = (stretch.timeline, run.upperBound, false)
                    break
                }
                reached = (stretch.timeline, last, false)
            } else {
                reached = (stretch.timeline, run.upperBound, run.upperBound == timeline.runs.last?.upperBound)
            }
        }
        guard let reached, reached.segment >= backup.lastSegment else { return nil }
        return reached
    }
}
