import Policy
import PostgresFormats
import RepoBase
import WALArchive

/// `repo wal status --json`.
struct WALStatusReport: Encodable {
    struct Cluster: Encodable {
        let systemIdentifier: String
        let segmentSize: Int
        let sources: [String]
        let baseBackups: Int
        let timelines: [Timeline]
        let gaps: [Gap]
        let windows: [Window]
        let promise: Promise?
        let strays: [String]
    }

    struct Timeline: Encodable {
        let timeline: UInt32
        let parent: UInt32?
        let begin: String?
        let historyMissing: Bool
        let segments: Int
        let first: String?
        let last: String?
        let end: String?
        let stored: String?
        let host: String?
    }

    struct Gap: Encodable {
        let timeline: UInt32
        let first: String
        let last: String
        let segments: Int
        let cause: String
        let harmful: Bool
    }

    struct Window: Encodable {
        let timeline: UInt32
        let snapshotId: String
        let from: String
        let to: String?
        let startLsn: String
        let endLsn: String
        let baseBackups: Int
    }

    struct Promise: Encodable {
        let recoveryWindow: String
        let since: String
        let keptSince: String?
        let kept: Bool
    }

    let clusters: [Cluster]
    let limitation: String?

    init(_ status: WALStatus) {
        limitation = status.limitation
        clusters = status.clusters.map { cluster in
            Cluster(
                systemIdentifier: "\(cluster.systemIdentifier)", segmentSize: cluster.segmentSize.bytes, sources: cluster.sources,
                baseBackups: cluster.baseBackups,
                timelines: cluster.timelines.map {
                    Timeline(
                        timeline: $0.timeline, parent: $0.parent, begin: $0.begin?.description, historyMissing: $0.isHistoryMissing,
                        segments: $0.segments, first: $0.firstSegment, last: $0.lastSegment, end: $0.end?.description,
                        stored: $0.stored.map(TimeDisplay.utc), host: $0.host)
                },
                gaps: cluster.gaps.map {
                    Gap(timeline: $0.timeline, first: $0.first, last: $0.last, segments: $0.segments, cause: $0.cause, harmful: $0.isHarmful)
                },
                windows: cluster.windows.map {
                    Window(
                        timeline: $0.timeline, snapshotId: "\($0.backup)", from: TimeDisplay.utc($0.from), to: $0.to.map(TimeDisplay.utc),
                        startLsn: $0.start.description, endLsn: $0.end.description, baseBackups: $0.backups)
                },
                promise: cluster.promise.map {
                    Promise(
                        recoveryWindow: $0.span, since: TimeDisplay.utc($0.since), keptSince: $0.kept.map(TimeDisplay.utc), kept: $0.isKept)
                }, strays: cluster.strays)
        }
    }
}

/// `repo wal status` for people.
struct WALStatusText {
    private(set) var text = ""

    init(_ status: WALStatus, zone: any ZoneOffsets) {
        for cluster in status.clusters {
            if !text.isEmpty { text += "\n" }
            let names = cluster.sources.map(TextDisplay.oneLine).joined(separator: ", ")
            text += "cluster \(cluster.systemIdentifier)" + (names.isEmpty ? "" : " (\(names))")
            text += ", \(Self.count(cluster.baseBackups, "base backup")), segments of \(ByteCount.describe(UInt64(cluster.segmentSize.bytes)))\n"
            for timeline in cluster.timelines { show(timeline, cluster, zone) }
            if let promise = cluster.promise {
                let since = TimeDisplay.local(promise.since, in: zone)
                let kept = promise.kept.map { "recoverable since \(TimeDisplay.local($0, in: zone))" } ?? "not recoverable"
                text += "  recovery window \(promise.span): promised since \(since), \(kept)\n"
            }
            for stray in cluster.strays { text += "  \(TextDisplay.oneLine(stray)) is no object of the log\n" }
        }
    }

    private mutating func show(_ timeline: WALStatus.Timeline, _ cluster: WALStatus.Cluster, _ zone: any ZoneOffsets) {
        var line = "  timeline \(timeline.timeline)"
        if let parent = timeline.parent, let begin = timeline.begin { line += " (from timeline \(parent) at \(begin))" }
        if timeline.isHistoryMissing { line += " (its history is missing)" }
        if let first = timeline.firstSegment, let last = timeline.lastSegment {
            line += ": \(first) to \(last), \(Self.count(timeline.segments, "segment"))"
        } else {
            line += ": no segment"
        }
        if let end = timeline.end { line += ", up to \(end)" }
        text += line + "\n"
        if let stored = timeline.stored {
            text += "    last stored  \(TimeDisplay.local(stored, in: zone)) by \(TextDisplay.oneLine(timeline.host ?? ""))\n"
        }
        for gap in cluster.gaps where gap.timeline == timeline.timeline {
            let range = gap.first == gap.last ? gap.first : "\(gap.first) to \(gap.last)"
            text += "    \(gap.isHarmful ? "GAP" : "gap")          \(range), \(Self.count(gap.segments, "segment")): \(gap.cause)\n"
        }
        for window in cluster.windows where window.timeline == timeline.timeline {
            let to = window.to.map { TimeDisplay.local($0, in: zone) } ?? "the end of the log"
            text += "    recoverable  \(TimeDisplay.local(window.from, in: zone)) to \(to)"
            text += " (\(window.start) to \(window.end)), \(Self.count(window.backups, "base backup"))\n"
        }
    }

    private static func count(_ number: Int, _ what: String) -> String { "\(NumberText.grouped(UInt64(number))) \(what)\(number == 1 ? "" : "s")" }
}
