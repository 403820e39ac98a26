public import PostgresFormats

/// What the archive has of one timeline, told by names alone.
public struct WALTimeline: Sendable {
    public let timeline: UInt32
    public let segmentSize: WALSegmentSize
    /// Stretches of segments without a gap, ascending; numbers as in `WALSegment`.
    public let runs: [ClosedRange<UInt64>]
    /// Objects that hold whole segments, by their first one, then by their last. 16 bytes each.
    let objects: [SegmentObject]
    /// Numbers of segments of which a promotion left a part.
    public let partials: [UInt64]
    /// What had been received of segments: numbers and bytes.
    public let received: [(number: UInt64, length: UInt32)]
    /// Labels of backups, by the segment in which they began.
    let backupLabels: [(number: UInt64, name: String)]
    public let hasHistory: Bool

    /// The segments of an object.
    struct SegmentObject: Hashable, Comparable, Sendable {
        let first: UInt64
        let last: UInt64

        static func < (a: SegmentObject, b: SegmentObject) -> Bool { (a.first, a.last) < (b.first, b.last) }
    }

    init(
        timeline: UInt32, segmentSize: WALSegmentSize, objects: [SegmentObject], partials: [UInt64], received: [(number: UInt64, length: UInt32)],
        backupLabels: [(number: UInt64, name: String)], hasHistory: Bool
    ) {
        self.timeline = timeline
        self.segmentSize = segmentSize
        self.objects = objects.sorted()
        self.partials = partials.sorted()
        self.received = received.sorted { ($0.number, $0.length) < ($1.number, $1.length) }
        self.backupLabels = backupLabels.sorted { ($0.number, $0.name) < ($1.number, $1.name) }
        self.hasHistory = hasHistory
        var runs: [ClosedRange<UInt64>] = []
        for object in self.objects {
            if let last = runs.last, object.first <= last.upperBound + 1 {
                runs[runs.count - 1] = last.lowerBound...max(last.upperBound, object.last)
            } else {
                runs.append(object.first...object.last)
            }
        }
        self.runs = runs
    }

    /// Whole segments, each counted once.
    public var segmentCount: Int { runs.reduce(0) { $0 + $1.count } }

    public func contains(_ number: UInt64) -> Bool { run(holding: number) != nil }

    /// The stretch that a segment is part of. O(log n).
    public func run(holding number: UInt64) -> ClosedRange<UInt64>? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].upperBound < number { low = middle + 1 } else { high = middle }
        }
        return low < runs.count && runs[low].contains(number) ? runs[low] : nil
    }

    /// Segments between the first and the last that are not there.
    public var gaps: [ClosedRange<UInt64>] {
        zip(runs, runs.dropFirst()).map { ($0.upperBound + 1)...($1.lowerBound - 1) }
    }

    /// What of `range` is not there.
    public func missing(in range: ClosedRange<UInt64>) -> [ClosedRange<UInt64>] {
        var missing: [ClosedRange<UInt64>] = []
        var next = range.lowerBound
        for run in runs where run.upperBound >= range.lowerBound && run.lowerBound <= range.upperBound {
            if run.lowerBound > next { missing.append(next...(run.lowerBound - 1)) }
            next = max(next, run.upperBound + 1)
        }
        if next <= range.upperBound { missing.append(next...range.upperBound) }
        return missing
    }

    /// The objects that hold a segment, those by themselves first. O(log n + 16).
    public func objects(holding number: UInt64) -> [WALObjectName] {
        var low = 0
        var high = objects.count
        // The first that could reach it: batches have at most 16 segments.
        let earliest = number >= UInt64(WALObjectName.batchLimit - 1) ? number - UInt64(WALObjectName.batchLimit - 1) : 0
        while low < high {
            let middle = (low + high) / 2
            if objects[middle].first < earliest { low = middle + 1 } else { high = middle }
        }
        var found: [WALObjectName] = []
        while low < objects.count, objects[low].first <= number {
            if objects[low].last >= number { found.append(name(of: objects[low])) }
            low += 1
        }
        return found.sorted { a, _ in
            if case .file = a { return true }
            return false
        }
    }

    func name(of object: SegmentObject) -> WALObjectName {
        let first = self.name(object.first)
        return object.first == object.last ? .file(.segment(name: first)) : .batch(first: first, last: self.name(object.last))
    }

    public func name(_ number: UInt64) -> String { WALSegment(timeline: timeline, number: number).name(segmentSize) }
}
