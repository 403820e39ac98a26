public import PostgresFormats
import RepoBase

extension WALArchive {
    /// What a promotion left of a segment: behind how many of its bytes the last whole record ends, and its facts. Nil where it was stored
    /// without facts, or none of its records is whole. Opens one object; throws `.notFound` and `.damaged` as that does.
    public func partial(_ segment: WALSegment, size: WALSegmentSize, system: UInt64) throws -> (length: UInt32, facts: WALFacts)? {
        let facts = try open(.file(.partial(segment: segment.name(size))), system: system).facts().first ?? nil
        guard let facts, let end = facts.endOfRecords, end > segment.start(size), end <= segment.end(size) else { return nil }
        return (UInt32(end.value - segment.start(size).value), facts)
    }

    /// How far a timeline's log goes behind its whole segments up to `last`: what was received of the next one, or what a promotion left of it,
    /// the longer of both. No bytes where there is neither. What does not open counts with the length that its name says, and has no facts.
    func tail(of timeline: WALTimeline, behind last: UInt64, system: UInt64) throws -> (length: UInt32, facts: WALFacts?) {
        let next = WALSegment(timeline: timeline.timeline, number: last + 1)
        var tail: (length: UInt32, facts: WALFacts?) = (0, nil)
        if let length = timeline.received.last(where: { $0.number == next.number })?.length {
            let name = WALObjectName.received(segment: timeline.name(next.number), length: length)
            tail = (length, try whereReadable { try open(name, system: system).facts().first ?? nil } ?? nil)
        }
        if timeline.partials.contains(next.number),
            let partial = try whereReadable({ try partial(next, size: timeline.segmentSize, system: system) }) ?? nil,
            partial.length > tail.length
        {
            tail = partial
        }
        return tail
    }

    /// Nil for what is damaged or has gone, which 'repo check' names, and for what a writer key may not read.
    private func whereReadable<Value>(_ read: () throws -> Value) throws -> Value? {
        do {
            return try read()
        } catch let error as RepoError where [.damaged, .notFound, .wrongKey].contains(error.code) {
            return nil
        }
    }
}
