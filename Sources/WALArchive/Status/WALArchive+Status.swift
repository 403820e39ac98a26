import PostgresFormats
public import RepoBase
import Repository

extension WALArchive {
    /// Looks at names, at the histories, and at the objects on the edges of what there is; 200,000 segments take under a second on a local disk.
    ///
    /// - Parameter promises: recovery windows by source: as written, and since when.
    public func status(promises: [String: (span: String, since: FileTime)] = [:]) throws -> WALStatus {
        var status = WALStatus()
        var backups: [UInt64: [BaseBackup]] = [:]
        if repository.keys.role == .full {
            backups = try baseBackups()
        } else {
            status.limitation = "a writer key cannot read snapshots, so recoverable times are not shown"
        }
        for system in Set(try systems()).union(backups.keys).sorted() {
            status.clusters.append(try self.status(of: system, backups[system] ?? [], promises))
        }
        return status
    }

    private func status(
        of system: UInt64, _ backups: [BaseBackup], _ promises: [String: (span: String, since: FileTime)]
    ) throws -> WALStatus.Cluster {
        let inventory = try inventory(of: system)
        let size = inventory.timelines.last?.segmentSize ?? backups.last?.facts.segmentSize ?? .standard
        var cluster = WALStatus.Cluster(systemIdentifier: system, segmentSize: size)
        cluster.sources = Set(backups.map(\.source)).sorted()
        cluster.baseBackups = backups.count
        cluster.strays = inventory.strays
        var lineages: [WALLineage] = []
        for timeline in inventory.timelines {
            let history = try history(of: timeline.timeline, system: system)
            let lineage = WALLineage(history, timeline: timeline.timeline, inventory)
            lineages.append(lineage)
            cluster.timelines.append(try describe(timeline, lineage, system))
        }
        let facts = WALFactsReader(self, inventory)
        for lineage in lineages { cluster.windows += try windows(lineage, backups, inventory, facts) }
        for timeline in inventory.timelines {
            cluster.gaps += gaps(timeline, lineages.first { $0.history.timeline == timeline.timeline }, lineages, backups)
        }
        for source in cluster.sources {
            guard let promise = promises[source], cluster.promise == nil else { continue }
            cluster.promise = .init(span: promise.span, since: promise.since, kept: kept(cluster, lineages))
        }
        return cluster
    }

    private func describe(_ timeline: WALTimeline, _ lineage: WALLineage, _ system: UInt64) throws -> WALStatus.Timeline {
        var result = WALStatus.Timeline(timeline: timeline.timeline)
        result.isHistoryMissing = !lineage.isKnown
        result.parent = lineage.history.ancestors.last?.timeline
        result.begin = lineage.history.ancestors.last?.end
        result.segments = timeline.segmentCount
        result.firstSegment = timeline.runs.first.map { timeline.name($0.lowerBound) }
        guard let last = timeline.runs.last?.upperBound else { return result }
        result.lastSegment = timeline.name(last)
        result.end = try end(of: timeline, behind: last, system).position
        if let holder = timeline.objects(holding: last).last {
            do {
                let description = try open(holder, system: system).description
                (result.stored, result.host) = (description.stored, description.host)
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                // 'repo check' names it.
            }
        }
        return result
    }

    /// Behind a segment and the part of the next one that there is, with the time of the latest commit or abort in that part.
    private func end(
        of timeline: WALTimeline, behind segment: UInt64, _ system: UInt64
    ) throws -> (position: LogSequenceNumber, latestEnd: FileTime?) {
        let tail = try tail(of: timeline, behind: segment, system: system)
        return (
            LogSequenceNumber((segment + 1) * UInt64(timeline.segmentSize.bytes) + UInt64(tail.length)), tail.facts?.latestEnd?.fileTime
        )
    }

    /// The stretches of time that a timeline's log makes recoverable, each with the earliest backup that leads into it.
    private func windows(
        _ lineage: WALLineage, _ backups: [BaseBackup], _ inventory: WALInventory, _ facts: WALFactsReader
    ) throws -> [WALStatus.Window] {
        let own = lineage.history.timeline
        var windows: [WALStatus.Window] = []
        var ends: [(segment: UInt64, first: UInt64)] = []
        for backup in backups {
            guard let reached = lineage.reach(of: backup), reached.timeline == own, let timeline = inventory[own] else {
                // One that holds its own log is itself a moment.
                if backup.facts.includesLog, backup.facts.timeline == own {
                    windows.append(
                        .init(
                            timeline: own, backup: backup.id, from: backup.facts.stopTime, start: backup.facts.stop, to: backup.facts.stopTime,
                            end: backup.facts.stop, backups: 1))
                    ends.append((.max, 0))
                }
                continue
            }
            if let known = ends.firstIndex(where: { $0.segment == reached.segment }) {
                windows[known].backups += 1
                continue
            }
            let first = backup.facts.timeline == own ? backup.firstSegment : timeline.run(holding: reached.segment)?.lowerBound ?? reached.segment
            let end = try end(of: timeline, behind: reached.segment, inventory.systemIdentifier)
            let whole = try lastEnd(own, upTo: reached.segment, notBelow: first, facts)
            windows.append(
                .init(
                    timeline: own, backup: backup.id, from: backup.facts.stopTime, start: backup.facts.stop,
                    to: [whole, end.latestEnd].compactMap(\.self).max(), end: end.position, backups: 1))
            ends.append((reached.segment, first))
        }
        return windows
    }

    /// The time of the latest commit or abort in the last segments before `last`.
    private func lastEnd(_ timeline: UInt32, upTo last: UInt64, notBelow first: UInt64, _ facts: WALFactsReader) throws -> FileTime? {
        // A quiet server's segments hold hardly anything: some hundreds are hours.
        var number = last
        for _ in 0..<256 {
            do {
                if let time = try facts.facts(of: WALSegment(timeline: timeline, number: number))?.latestEnd { return time.fileTime }
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                // 'repo check' names it; the ones before it say nearly the same.
            }
            guard number > first else { return nil }
            number -= 1
        }
        return nil
    }

    /// Since when every moment up to the end of the log is recoverable, on the newest timeline.
    private func kept(_ cluster: WALStatus.Cluster, _ lineages: [WALLineage]) -> FileTime? {
        guard let newest = cluster.timelines.last(where: { $0.lastSegment != nil }) else { return nil }
        return cluster.windows.filter { $0.timeline == newest.timeline && $0.end == newest.end }.map(\.from).min()
    }
}
