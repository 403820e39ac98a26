import BlobEngine
public import PostgresFormats
public import RepoBase
import Repository

/// Facts of many segments of one cluster, from this machine's cache where it has them, else from the objects' beginnings, several at a time.
///
/// Not thread-safe. What was read goes into the cache when another folder of the log is asked for, and with `save`.
public final class WALFactsReader {
    private let archive: WALArchive
    private let inventory: WALInventory
    private let cache: FactsCache
    private var log = ""
    /// What was asked for last that was not in the cache, and how many were read at once then.
    private var last: (segment: WALSegment, count: UInt64)?
    private static let readAhead: UInt64 = 256
    private var entries: FactsCache.Entries = [:]
    private var fresh: FactsCache.Entries = [:]

    public init(_ archive: WALArchive, _ inventory: WALInventory) {
        self.archive = archive
        self.inventory = inventory
        cache = FactsCache(
            folder: archive.repository.cacheDirectory + "/wal-facts", idSecret: archive.repository.keys.idSecret)
    }

    deinit { save() }

    /// What is known of a whole segment; nil where it was stored without facts. Throws `.notFound` for one that the archive does not have,
    /// `.damaged` where no object that holds it opens, `.wrongKey` for a writer key.
    public func facts(of segment: WALSegment) throws -> WALFacts? {
        guard let timeline = inventory[segment.timeline] else { throw Self.absent(segment, nil) }
        let name = timeline.name(segment.number)
        try turn(to: String(name.prefix(16)))
        if let known = entries[Self.number(name)] { return known }
        try readAhead(segment, timeline)
        if let known = entries[Self.number(name)] { return known }
        let holders = timeline.objects(holding: segment.number)
        guard !holders.isEmpty else { throw Self.absent(segment, timeline) }
        var problem: (any Error)?
        for holder in holders {
            do {
                let reader = try archive.open(holder, system: inventory.systemIdentifier)
                let files = reader.description.files.filter(\.hasFacts)
                for (file, facts) in zip(files, try reader.facts()) {
                    guard let facts, file.name.hasPrefix(log) else { continue }
                    entries[Self.number(file.name)] = facts
                    fresh[Self.number(file.name)] = facts
                }
                return entries[Self.number(name)]
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                problem = problem ?? error
            }
        }
        throw problem!
    }

    /// Whoever asks for the segment next to the last ones that had to be read goes on in that direction: more and more of those to come are
    /// read at once, within one folder of the log.
    private func readAhead(_ segment: WALSegment, _ timeline: WALTimeline) throws {
        let before = last
        last = (segment, 1)
        guard let before, before.segment.timeline == segment.timeline else { return }
        let isAscending = segment.number > before.segment.number
        let distance = isAscending ? segment.number - before.segment.number : before.segment.number - segment.number
        guard distance <= before.count else { return }
        let perLog = timeline.segmentSize.segmentsPerLog
        let count = min(before.count * 2, Self.readAhead, isAscending ? perLog - segment.number % perLog : segment.number % perLog + 1)
        last = (segment, count)
        guard count > 1 else { return }
        try prefetch(
            segment.timeline, isAscending ? segment.number...segment.number + count - 1 : segment.number - (count - 1)...segment.number)
    }

    /// Brings the facts of a stretch of segments into the cache, on several threads, so that asking for them one by one is quick.
    public func prefetch(_ timeline: UInt32, _ numbers: ClosedRange<UInt64>, threads: Int = availableProcessors()) throws {
        guard let known = inventory[timeline] else { return }
        var next = numbers.lowerBound
        while next <= numbers.upperBound {
            let name = known.name(next)
            try turn(to: String(name.prefix(16)))
            let perLog = known.segmentSize.segmentsPerLog
            let end = min(numbers.upperBound, (next / perLog + 1) * perLog - 1)
            var holders: [WALObjectName] = []
            for number in next...end where entries[Self.number(known.name(number))] == nil {
                if let holder = known.objects(holding: number).first, holders.last != holder { holders.append(holder) }
            }
            let found = Monitor(FactsCache.Entries())
            let (archive, system, log, wanted) = (archive, inventory.systemIdentifier, log, holders)
            try ParallelWork.run(wanted.count, threads: threads, worker: {}) { index, _ in
                guard let reader = try? archive.open(wanted[index], system: system), let all = try? reader.facts() else { return }
                for (file, facts) in zip(reader.description.files.filter(\.hasFacts), all) {
                    guard let facts, file.name.hasPrefix(log) else { continue }
                    found.withLock { $0[Self.number(file.name)] = facts }
                }
            }
            let read = found.withLock { $0 }
            entries.merge(read) { $1 }
            fresh.merge(read) { $1 }
            next = end + 1
        }
    }

    /// Writes to the cache what was read since.
    public func save() {
        cache.add(fresh, inventory.systemIdentifier, log: log)
        fresh = [:]
    }

    private func turn(to log: String) throws {
        guard log != self.log else { return }
        save()
        self.log = log
        entries = cache.load(inventory.systemIdentifier, log: log)
    }

    private static func number(_ name: String) -> UInt32 { UInt32(name.dropFirst(16).prefix(8), radix: 16) ?? 0 }

    private static func absent(_ segment: WALSegment, _ timeline: WALTimeline?) -> RepoError {
        RepoError(
            .notFound,
            "segment \(timeline?.name(segment.number) ?? "\(segment.number) of timeline \(segment.timeline)") is not in the archive",
            advice: "'repo wal status' shows what is.")
    }
}
