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

    struct Server: Encodable {
        struct Slot: Encodable {
            let name: String
            let physical: Bool
            let active: Bool
            let restartLsn: String?
            let heldBytes: UInt64
            let status: String?
        }

        let systemIdentifier: String
        let timeline: UInt32
        let inRecovery: Bool
        let position: String
        let behindBytes: UInt64
        let archiveMode: String
        let archivedCount: UInt64
        let lastArchived: String?
        let lastArchivedTime: String?
        let failedCount: UInt64
        let lastFailed: String?
        let lastFailedTime: String?
        let failing: Bool
        let ready: Int?
        let slots: [Slot]

        init(_ state: ServerState, _ behind: UInt64) {
            systemIdentifier = "\(state.systemIdentifier)"
            timeline = state.timeline
            inRecovery = state.isInRecovery
            position = state.position.description
            behindBytes = behind
            archiveMode = state.archiveMode
            archivedCount = state.archivedCount
            lastArchived = state.lastArchived
            lastArchivedTime = state.lastArchivedTime.map(TimeDisplay.utc)
            failedCount = state.failedCount
            lastFailed = state.lastFailed
            lastFailedTime = state.lastFailedTime.map(TimeDisplay.utc)
            failing = state.isFailing
            ready = state.readyFiles
            slots = state.slots.map {
                Slot(
                    name: $0.name, physical: $0.isPhysical, active: $0.isActive, restartLsn: $0.restart?.description, heldBytes: $0.heldBytes,
                    status: $0.status)
            }
        }
    }

    let clusters: [Cluster]
    let servers: [Server]?
    let limitation: String?

    init(_ status: WALStatus, _ servers: [(state: ServerState, behind: UInt64)]) {
        self.servers = servers.isEmpty ? nil : servers.map { Server($0.state, $0.behind) }
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
            show("last stored", "\(TimeDisplay.local(stored, in: zone)) by \(TextDisplay.oneLine(timeline.host ?? ""))")
        }
        for gap in cluster.gaps where gap.timeline == timeline.timeline {
            let range = gap.first == gap.last ? gap.first : "\(gap.first) to \(gap.last)"
            show(gap.isHarmful ? "GAP" : "gap", "\(range), \(Self.count(gap.segments, "segment")): \(gap.cause)")
        }
        for window in cluster.windows where window.timeline == timeline.timeline {
            let to = window.to.map { TimeDisplay.local($0, in: zone) } ?? "the end of the log"
            show(
                "recoverable",
                "\(TimeDisplay.local(window.from, in: zone)) to \(to) (\(window.start) to \(window.end)), "
                    + Self.count(window.backups, "base backup"))
        }
    }

    private static let columns = TextColumns(widths: [11, 0], indent: 4)

    /// What is known of a timeline.
    private mutating func show(_ label: String, _ what: String) { text += Self.columns.line([label, what]) + "\n" }

    /// What a server says, beside what the archive has.
    mutating func show(_ server: ServerState, behind: UInt64, _ zone: any ZoneOffsets) {
        text += "\nserver of cluster \(server.systemIdentifier)\(server.isInRecovery ? ", a standby" : ""), timeline \(server.timeline), "
        text += "at \(server.position): the archive is \(ByteCount.describe(behind)) behind\n"
        var line = "  archive_mode \(server.archiveMode)"
        if let last = server.lastArchived, let time = server.lastArchivedTime { line += ", last archived \(last) at \(TimeDisplay.local(time, in: zone))" }
        if let ready = server.readyFiles { line += ", \(Self.count(ready, "file")) waiting" }
        text += line + "\n"
        if server.isFailing, let failed = server.lastFailed, let time = server.lastFailedTime {
            text += "  FAILING at \(failed), last at \(TimeDisplay.local(time, in: zone)): the server's log has the reason\n"
        }
        for slot in server.slots {
            text += "  slot \(TextDisplay.oneLine(slot.name)) (\(slot.isPhysical ? "physical" : "logical"), \(slot.isActive ? "active" : "INACTIVE"))"
            text += " holds \(ByteCount.describe(slot.heldBytes))\(slot.status == "lost" ? ", and has lost more" : "")\n"
        }
    }

    private static func count(_ number: Int, _ what: String) -> String { "\(NumberText.grouped(UInt64(number))) \(what)\(number == 1 ? "" : "s")" }
}
