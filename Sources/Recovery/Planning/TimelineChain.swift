public import PostgresFormats

/// A timeline with all that led to it: which timeline the log follows at each position (`expectedTLEs`, access/transam/timeline.c).
public struct TimelineChain: Hashable, Sendable {
    public let history: TimelineHistory
    /// Oldest first.
    public let parts: [TimelineHistory.Span]

    public init(_ history: TimelineHistory) {
        self.history = history
        parts = history.spans
    }

    /// The last one.
    public var timeline: UInt32 { history.timeline }

    public func part(_ timeline: UInt32) -> TimelineHistory.Span? { parts.first { $0.timeline == timeline } }

    /// The timeline that the byte at `position` is on.
    public func timeline(at position: LogSequenceNumber) -> UInt32 { history.timeline(holding: position) }

    /// Whether a backup belongs to this history: its timeline is part of it and was not left before the backup was consistent.
    public func holds(_ backup: BaseBackup) -> Bool {
        guard let part = part(backup.facts.timeline) else { return false }
        return backup.facts.start >= part.begin && part.end.map { backup.facts.stop <= $0 } ?? true
    }

    /// The chain up to one of its timelines, which then goes on to its own end.
    public func upTo(_ timeline: UInt32) -> TimelineChain? {
        if timeline == self.timeline { return self }
        let ancestors = history.ancestors.prefix { $0.timeline != timeline }
        guard ancestors.count < history.ancestors.count,
            let history = TimelineHistory(timeline: timeline, ancestors: Array(ancestors))
        else { return nil }
        return TimelineChain(history)
    }
}
