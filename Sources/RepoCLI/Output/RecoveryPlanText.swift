import PostgresFormats
import Recovery
import RepoBase

/// A plan in words.
enum RecoveryPlanText {
    private static let columns = TextColumns(widths: [13, 0])

    static func line(_ label: String, _ text: String) -> String { columns.line([label, text]) }

    static func lines(_ plan: RecoveryPlan) -> [String] {
        let facts = plan.backup.facts
        var lines = [
            line("base backup", "\(plan.backup.id.short) of \(TimeDisplay.utc(plan.backup.time)), \(ByteCount.describe(plan.backup.bytes)), timeline \(facts.timeline)"),
            line("log", log(plan)),
            line("stops", stop(plan)),
        ]
        if let last = plan.lastTransaction {
            lines.append(line("last included", "\(transaction(last)) at \(TimeDisplay.utc(last.time.fileTime))"))
        }
        if plan.timeline != facts.timeline { lines.append(line("timeline", "\(plan.timeline)")) }
        if !plan.otherTimelines.isEmpty {
            let list = plan.otherTimelines.map(String.init).joined(separator: ", ")
            lines.append(line("note", "timeline \(list) holds this moment too, on another course: --timeline \(plan.otherTimelines[0]) follows it"))
        }
        for note in plan.notes { lines.append(line("note", note)) }
        return lines
    }

    private static func log(_ plan: RecoveryPlan) -> String {
        let size = plan.backup.facts.segmentSize
        guard let first = plan.segments.first, let last = plan.segments.last else { return "none: the snapshot brings its own" }
        let bytes = ByteCount.describe(UInt64(plan.segments.count) * UInt64(size.bytes))
        if plan.segments.count == 1 { return "1 segment, \(first.name(size)), \(bytes)" }
        return "\(NumberText.counted(plan.segments.count, "segment")), \(first.name(size)) to \(last.name(size)), \(bytes)"
    }

    private static func stop(_ plan: RecoveryPlan) -> String {
        let position =
            switch plan.stop {
            case .before(let position): "before \(position)"
            case .after(let position): "behind \(position)"
            case .consistency: "at \(plan.backup.facts.stop)"
            }
        switch plan.reason {
        case .transactionIsLater(let end):
            return "\(position): \(transaction(end)) at \(TimeDisplay.utc(end.time.fileTime)), the first in the log that is later"
        case .endOfLog(let time):
            return "\(position), where the log ends" + (time.map { "; it holds everything up to \(TimeDisplay.utc($0.fileTime))" } ?? "")
        case .transaction(let end): return "\(position): \(transaction(end)) at \(TimeDisplay.utc(end.time.fileTime))"
        case .restorePoint(let point): return "\(position): restore point '\(TextDisplay.oneLine(point.name))' of \(TimeDisplay.utc(point.time.fileTime))"
        case .position: return position
        case .consistency: return "\(position), where the base backup is consistent"
        }
    }

    static func transaction(_ end: WALTransactionEnd) -> String {
        let name = end.transaction.map { "transaction \($0)" } ?? "a transaction"
        return "\(name), \(kind(end.kind))"
    }

    static func kind(_ kind: WALTransactionEnd.Kind) -> String {
        switch kind {
        case .commit: "committed"
        case .abort: "rolled back"
        case .commitPrepared: "committed after it was prepared"
        case .abortPrepared: "rolled back after it was prepared"
        }
    }
}

extension RecoveryEstimate {
    /// What it comes to, and what it rests on.
    var text: String {
        var parts: [String] = []
        if let fileRate {
            parts.append("files \(NumberText.seconds(Double(bytes) / fileRate)) at \(ByteCount.describe(UInt64(fileRate)))/s (\(ByteCount.describe(sampledBytes)) read just now)")
        }
        if let segmentSeconds {
            parts.append("log \(NumberText.seconds(Double(segments) * segmentSeconds)) (\(sampledSegments) of its segments fetched just now)")
        }
        guard !parts.isEmpty else { return "seconds: there is little to read" }
        return parts.joined(separator: ", ") + "; how long the server takes to replay is its own matter"
    }
}
