import PostgresFormats
import RepoBase

/// All of the log that is there along a chain of timelines, as unbroken paths.
struct LogStretches {
    let chain: TimelineChain
    let paths: [LogPath]
    /// Segments before a backup that are looked at when nothing else says how far to go back.
    static let lookBack: UInt64 = 16

    /// - Parameter backups: on the chain; the log is followed from a little before the oldest.
    init(_ chain: TimelineChain, _ view: any LogView, backups: [BaseBackup]) {
        self.chain = chain
        let size = UInt64(view.segmentSize.bytes)
        var paths: [LogPath] = []
        let oldest = (backups.map(\.facts.start).min() ?? .invalid).value / size
        var next: UInt64? = chain.parts.compactMap { part in
            let first = view.extent(of: part.timeline).next(
                from: max(part.begin.value / size, oldest - min(oldest, Self.lookBack)))
            return first.flatMap { first in part.end.map { first * size < $0.value } ?? true ? first : nil }
        }.min()
        while let number = next {
            let path = LogPath(chain, view, from: LogSequenceNumber(number * size))
            if !path.steps.isEmpty { paths.append(path) }
            next = path.cut.next.map(\.number).flatMap { $0 > number ? $0 : nil }
        }
        self.paths = paths
    }

    /// The path on which a backup becomes consistent; nil when some of its log is missing.
    func path(of backup: BaseBackup) -> LogPath? {
        paths.first {
            $0.index(of: backup.logStart) != nil && $0.reaches(backup.facts.stop)
        }
    }

    /// The first segment that a backup misses to become consistent.
    func missing(for backup: BaseBackup, _ size: WALSegmentSize) -> WALSegment {
        if let path = paths.first(where: { $0.index(of: backup.logStart) != nil }) { return path.cut.missing }
        return WALSegment(timeline: chain.timeline(at: backup.logStart), holding: backup.logStart, size: size)
    }
}
