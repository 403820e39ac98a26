import PostgresFormats
public import RepoBase
import Repository

/// What keeps every moment of a cluster since some time recoverable: base backups to begin with, and the log from them on.
public struct RecoveryWindow: Sendable {
    /// The backups that must stay.
    public private(set) var bases: [BaseBackup] = []
    /// Every segment from this number on, on every timeline, is needed; nil where there is no backup at all.
    public private(set) var firstSegment: UInt64?

    /// - Parameters:
    ///   - since: the earliest moment that is promised.
    ///   - backups: of one cluster, all that there are.
    ///   - lineages: of the cluster's timelines that no other continues and where something has happened since that moment.
    ///
    /// For each lineage: the last backup that was complete before that moment, or the first there is; and where the log has a gap behind it, the
    /// first backup behind the gap, and so on.
    public init(since: FileTime, backups: [BaseBackup], lineages: [WALLineage]) {
        for lineage in lineages {
            let own = backups.filter {
                $0.facts.timeline == lineage.history.timeline || lineage.history.leads(from: $0.facts.timeline, at: $0.facts.stop)
            }.sorted { ($0.facts.stop, $0.facts.stopTime) < ($1.facts.stop, $1.facts.stopTime) }
            guard var base = own.last(where: { $0.facts.stopTime <= since }) ?? own.first else { continue }
            while true {
                if !bases.contains(base) { bases.append(base) }
                firstSegment = min(firstSegment ?? .max, base.firstSegment)
                let reached = lineage.reach(of: base)
                if reached?.isComplete == true { break }
                let end = reached?.segment ?? base.firstSegment
                guard let next = own.first(where: { $0.facts.stop > base.facts.stop && $0.lastSegment > end }) else { break }
                base = next
            }
        }
    }
}

extension WALArchive {
    /// The timelines of a cluster that none other continues, with what the archive has of them, leaving out those whose newest object was stored
    /// before `since` and whose newest backup is older, unless that leaves none.
    public func lineages(_ inventory: WALInventory, backups: [BaseBackup], activeSince since: FileTime? = nil) throws -> [WALLineage] {
        let numbers = Set(inventory.timelines.map(\.timeline)).union(backups.map(\.facts.timeline)).sorted()
        let all = try numbers.map { number in
            WALLineage(try history(of: number, system: inventory.systemIdentifier), timeline: number, inventory)
        }
        let leaves = all.filter { lineage in
            !all.contains { $0.history.timeline != lineage.history.timeline && $0.history.contains(lineage.history.timeline) }
        }
        guard let since, leaves.count > 1 else { return leaves }
        let active = try leaves.filter { lineage in
            let number = lineage.history.timeline
            if backups.contains(where: { $0.facts.timeline == number && $0.facts.stopTime >= since }) { return true }
            guard let timeline = inventory[number], let last = timeline.runs.last,
                let holder = timeline.objects(holding: last.upperBound).last
            else { return false }
            do {
                return try open(holder, system: inventory.systemIdentifier).description.stored >= since
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                return true
            }
        }
        return active.isEmpty ? Array(leaves.suffix(1)) : active
    }
}
