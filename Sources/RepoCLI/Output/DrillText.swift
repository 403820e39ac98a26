import Recovery
import RepoBase

/// A report in words.
enum DrillText {
    static func lines(_ report: DrillReport, id: ObjectID?) -> [String] {
        var lines = [line("drill", "\(id.map { "\($0.short) " } ?? "")of \(TextDisplay.oneLine(report.source)) at \(seconds(report.time)), on \(TextDisplay.oneLine(report.host))")]
        var tested = report.asked == "random" ? "random" : report.asked == "latest" ? "latest" : "as asked for"
        if let moment = report.moment { tested += ": \(moment)" }
        if let timeline = report.timeline { tested += ", timeline \(timeline)" }
        if let position = report.stopLsn { tested += ", \(report.stopInclusive == true ? "behind" : "before") \(position)" }
        lines.append(line("moment", tested))
        if let last = report.lastTransactionTime { lines.append(line("last included", "a transaction that ended at \(last)")) }
        if let snapshot = report.snapshotId {
            lines.append(line("snapshot", "\(snapshot.prefix(8)) of \(seconds(report.snapshotTime ?? ""))" + size(report)))
        }
        lines += phases(report)
        for check in report.checks {
            let took = check.seconds.map { ", \(NumberText.seconds($0))" } ?? ""
            lines.append(line(word(check.result), TextDisplay.oneLine(check.name) + ": " + TextDisplay.oneLine(check.detail) + took))
            let findings = check.findings ?? []
            for finding in findings { lines += finding.split(separator: "\n").map { line("", "  " + TextDisplay.oneLine(String($0))) } }
            if let total = check.findingsTotal, total > findings.count { lines.append(line("", "  and \(total - findings.count) more")) }
        }
        for database in report.databases ?? [] {
            lines.append(line("database", "\(TextDisplay.oneLine(database.name)): \(NumberText.counted(database.tables, "table")), \(ByteCount.describe(database.bytes))"))
        }
        lines += rows(report.rowCounts ?? [])
        for note in report.notes { lines.append(line("note", TextDisplay.oneLine(note))) }
        if let kept = report.kept { lines.append(line("kept", "the restored files are in \(TextDisplay.oneLine(kept)); remove them when you have looked")) }
        switch report.outcome {
        case .passed: lines.append("passed")
        case .failed: lines.append("FAILED" + why(report))
        case .damaged: lines.append("DAMAGED" + why(report))
        case .notRecoverable: lines.append("NOT RECOVERABLE" + why(report))
        }
        if let advice = report.advice { lines.append(TextDisplay.oneLine(advice)) }
        return lines
    }

    /// A time without its fraction, which nobody reads here.
    private static func seconds(_ time: String) -> String { time.contains(".") ? time.prefix { $0 != "." } + "Z" : time }

    private static func why(_ report: DrillReport) -> String {
        // Several lines where the server's log is part of it, which stand above.
        report.message.map { ": " + TextDisplay.oneLine(String($0.split(separator: "\n").first ?? "")) } ?? ""
    }

    private static func size(_ report: DrillReport) -> String {
        var text = ""
        if let files = report.files { text += ", \(NumberText.counted(files, "file"))" }
        if let bytes = report.bytes { text += ", \(ByteCount.describe(bytes))" }
        if let segments = report.segments, let bytes = report.logBytes { text += "; \(NumberText.counted(segments, "segment")) of log, \(ByteCount.describe(bytes))" }
        return text
    }

    private static func phases(_ report: DrillReport) -> [String] {
        let phases = report.phases
        let parts = [
            ("plan", phases.plan), ("check", phases.check), ("restore", phases.restore), ("start", phases.start), ("replay", phases.replay),
            ("verification", phases.verification), ("total", phases.total),
        ].compactMap { name, seconds in seconds.map { "\(name) \(NumberText.seconds($0))" } }
        var lines: [String] = []
        if let seconds = report.secondsToRecovery { lines.append(line("to recovery", NumberText.seconds(seconds))) }
        if !parts.isEmpty { lines.append(line("phases", parts.joined(separator: ", "))) }
        return lines
    }

    private static func line(_ label: String, _ text: String) -> String { RecoveryPlanText.line(label, text) }

    private static func word(_ result: DrillReport.Check.Result) -> String {
        switch result {
        case .passed: "passed"
        case .failed: "FAILED"
        case .skipped: "skipped"
        }
    }

    private static func rows(_ counts: [DrillReport.RowCount]) -> [String] {
        guard let first = counts.first else { return [] }
        let different = counts.filter { $0.rows != $0.recorded }
        var lines = [
            line("rows", "\(counts.count) tables that a dump of \(seconds(first.recordedAt)) counted, \(counts.count - different.count) of them with as many rows")
        ]
        for count in different.prefix(50) {
            let rows = count.rows.map { NumberText.counted($0, "row") } ?? "not there"
            lines.append(
                line("", "  \(TextDisplay.oneLine(count.database)) \(TextDisplay.oneLine(count.table)): \(rows), \(NumberText.grouped(count.recorded)) then"))
        }
        if different.count > 50 { lines.append(line("", "  and \(different.count - 50) more")) }
        return lines
    }
}
