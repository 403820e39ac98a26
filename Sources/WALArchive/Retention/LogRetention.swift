import BlobEngine
import PostgresFormats
public import RepoBase
public import Repository
public import Storage

/// Which objects of the log nobody needs any more.
///
/// Needed is every segment from the first one of the oldest backup on, on every timeline: nothing older can be replayed. Where a recovery window
/// is promised, every segment from the first one of the window's backup on, and of older backups their own log, from start to stop. Histories
/// stay. A batch goes as a whole, when nothing in it is needed. Where a cluster has no backup, nothing of its log goes but parts of segments of which
/// there is more.
public struct LogRetention: Sendable {
    public struct Plan: Sendable {
        public let systemIdentifier: UInt64
        /// What goes, the oldest first.
        public var going: [WALObjectName] = []
        /// Segments that these hold.
        public var segments = 0
        /// Why the rest stays, in words.
        public var reason = ""
    }

    private let archive: WALArchive

    public init(_ archive: WALArchive) { self.archive = archive }

    /// - Parameters:
    ///   - backups: all of this cluster's that stay.
    ///   - window: since when every moment is to be recoverable; nil: as far back as the oldest backup.
    public func plan(_ inventory: WALInventory, backups: [BaseBackup], window since: FileTime?) throws -> Plan {
        var plan = Plan(systemIdentifier: inventory.systemIdentifier)
        plan.going = inventory.timelines.flatMap { timeline in
            timeline.received.filter { Self.isSuperseded($0, timeline) }.map { .received(segment: timeline.name($0.number), length: $0.length) }
        }
        guard let oldest = backups.map(\.firstSegment).min() else {
            plan.reason = "there is no base backup of this cluster, so all of its log is kept"
            return plan
        }
        var first = oldest
        var islands: [ClosedRange<UInt64>] = []
        plan.reason = "kept from the oldest base backup on"
        if let since {
            let window = RecoveryWindow(
                since: since, backups: backups, lineages: try archive.lineages(inventory, backups: backups, activeSince: since))
            // Without a lineage that a backup leads to nothing is known; the oldest backup decides.
            first = window.firstSegment ?? oldest
            islands = backups.filter { $0.firstSegment < first }.map { $0.firstSegment...max($0.firstSegment, $0.lastSegment) }
            if window.firstSegment != nil { plan.reason = "kept from the base backup on that the recovery window begins with" }
        }
        for timeline in inventory.timelines {
            func isNeeded(_ range: ClosedRange<UInt64>) -> Bool {
                range.upperBound >= first || islands.contains { $0.overlaps(range) }
            }
            for object in timeline.objects where !isNeeded(object.first...object.last) {
                plan.going.append(timeline.name(of: object))
                plan.segments += Int(object.last - object.first) + 1
            }
            for number in timeline.partials where !isNeeded(number...number) {
                plan.going.append(.file(.partial(segment: timeline.name(number))))
            }
            for part in timeline.received where !isNeeded(part.number...part.number) && !Self.isSuperseded(part, timeline) {
                plan.going.append(.received(segment: timeline.name(part.number), length: part.length))
            }
            for label in timeline.backupLabels where !isNeeded(label.number...label.number) {
                plan.going.append(.file(.backupHistory(name: label.name)))
            }
        }
        return plan
    }

    /// Whether there is the whole of the segment, or a longer part. 'wal receive' with a writer key leaves such parts.
    private static func isSuperseded(_ part: (number: UInt64, length: UInt32), _ timeline: WALTimeline) -> Bool {
        timeline.contains(part.number) || timeline.received.contains { $0.number == part.number && $0.length > part.length }
    }

    /// What of a plan stays for now, since it is locked.
    public struct Locked: Sendable {
        public var objects: [StoredObject] = []
        /// When the last of these locks ends: seconds since 1970.
        public var until: Int64?

        public init() {}
    }

    /// Takes out of the plan what is locked, and of the same timeline what comes after it, so that no gap appears in front of what stays.
    /// - Parameters:
    ///   - objects: what the store tells of the plan's objects; those that are gone are left out.
    ///   - now: seconds since 1970.
    public func leaveLocked(in plan: inout Plan, _ objects: [StoreKey: StoredObject], now: Int64) throws -> Locked {
        var locked = Locked()
        guard archive.store.lock != nil else { return locked }
        let ledger = LockLedger(archive.repository)
        defer { ledger.save() }
        let asked = objects.values.filter { ObjectLock.covers($0.key) }
        let ends = Dictionary(uniqueKeysWithValues: zip(asked.map(\.key), try ledger.ends(of: asked)))
        var timelines: Set<UInt32> = []
        plan.going.removeAll { name in
            let key = name.key(systemIdentifier: plan.systemIdentifier)
            guard let object = objects[key], let end = ends[key] else { return false }
            if end > now {
                timelines.insert(name.timeline)
                locked.until = max(locked.until ?? end, end)
            }
            guard timelines.contains(name.timeline) else { return false }
            locked.objects.append(object)
            plan.segments -= name.segmentCount
            return true
        }
        return locked
    }

    /// Deletes what the plan names, the oldest first, so that what a crash leaves has no new gap. The journal is written before. Throws
    /// `.refused` for a writer key.
    public func apply(_ plan: Plan, stamp: JournalStamp = .now()) throws {
        guard archive.repository.keys.role == .full else {
            throw RepoError(.refused, "a writer key can archive the log and delete none of it", advice: "Use a full key.")
        }
        let keys = plan.going.map { $0.key(systemIdentifier: plan.systemIdentifier) }
        let limit = 50_000
        for start in stride(from: 0, to: keys.count, by: limit) {
            let part = keys[start..<min(keys.count, start + limit)]
            try Journal.append(
                to: archive.store, by: archive.repository.keys, stamp, action: "prune: log", subjects: part.map(\.description),
                details: [plan.reason])
            for key in part { try archive.store.purge([key]) }
        }
    }
}
