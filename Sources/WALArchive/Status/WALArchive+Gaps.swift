import PostgresFormats
import RepoBase

extension WALArchive {
    /// Gaps behind a base backup that nothing explains which was meant to happen: what is in the archive behind them is out of its reach.
    func losses(_ inventory: WALInventory, _ backups: [BaseBackup]) throws -> [WALStatus.Gap] {
        guard inventory.timelines.contains(where: { !$0.gaps.isEmpty }) else { return [] }
        let lineages = try inventory.timelines.map { timeline in
            WALLineage(try history(of: timeline.timeline, system: inventory.systemIdentifier), timeline: timeline.timeline, inventory)
        }
        return inventory.timelines.flatMap { timeline in
            gaps(timeline, lineages.first { $0.history.timeline == timeline.timeline }, lineages, backups)
        }.filter { $0.isLoss && $0.isHarmful }
    }

    /// Segments that are missing between others, and between a timeline's beginning and its first segment.
    func gaps(_ timeline: WALTimeline, _ lineage: WALLineage?, _ lineages: [WALLineage], _ backups: [BaseBackup]) -> [WALStatus.Gap] {
        var missing = timeline.gaps
        if let begin = lineage?.history.ancestors.last?.end.value, let first = timeline.runs.first?.lowerBound {
            let own = begin / UInt64(timeline.segmentSize.bytes)
            // What lies before the first backup's own log may have been let go.
            let oldest = backups.map(\.firstSegment).min() ?? .max
            let from = max(own, oldest)
            if from < first { missing.insert(from...(first - 1), at: 0) }
        }
        return missing.map { range in
            let (cause, isLoss) = cause(of: range, timeline, lineages, backups)
            return WALStatus.Gap(
                timeline: timeline.timeline, first: timeline.name(range.lowerBound), last: timeline.name(range.upperBound), segments: range.count,
                cause: cause, isLoss: isLoss, isHarmful: isHarmful(range, timeline, lineages, backups))
        }
    }

    private func cause(
        of range: ClosedRange<UInt64>, _ timeline: WALTimeline, _ lineages: [WALLineage], _ backups: [BaseBackup]
    ) -> (text: String, isLoss: Bool) {
        if let received = timeline.received.last(where: { $0.number == range.lowerBound }) {
            return ("'repo wal receive' was interrupted in it, after \(received.length) bytes, and went on behind it", true)
        }
        if timeline.partials.contains(range.lowerBound) {
            return ("the timeline was left in it, and its server has gone on afterwards", false)
        }
        let sizes = UInt64(timeline.segmentSize.bytes)
        for lineage in lineages {
            if let end = lineage.history.end(of: timeline.timeline), range.lowerBound <= end.value / sizes, end.value / sizes <= range.upperBound {
                return ("timeline \(lineage.history.timeline) left this one in it, at \(end)", false)
            }
        }
        let before = backups.contains { $0.lastSegment + 1 == range.lowerBound }
        let behind = backups.contains { $0.firstSegment == range.upperBound + 1 }
        if before, behind { return ("let go by 'repo prune': it lies between base backups, outside of the recovery window", false) }
        return ("never archived, or deleted from the repository", true)
    }

    /// Whether a backup's own log lacks it, or a backup before it could have gone on over it.
    private func isHarmful(
        _ range: ClosedRange<UInt64>, _ timeline: WALTimeline, _ lineages: [WALLineage], _ backups: [BaseBackup]
    ) -> Bool {
        backups.contains { backup in
            guard backup.firstSegment <= range.upperBound else { return false }
            return backup.facts.timeline == timeline.timeline
                || lineages.contains { $0.history.timeline == timeline.timeline && $0.history.contains(backup.facts.timeline) }
        }
    }
}
