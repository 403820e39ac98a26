import Foundation
import Recovery
import RepoBase
import Repository

/// `repo drill --list` and `--show`.
struct DrillReports {
    private let context: CommandContext
    private let reports: Reports

    init(_ context: CommandContext) throws {
        self.context = context
        reports = Reports(try context.openRepository())
    }

    private struct Row: Encodable {
        let id: String
        let shortId: String
        let time: String
        let source: String
        let kind: String?
        let outcome: String
        let exitStatus: Int32
        let asked: String?
        let moment: String?
        let secondsToRecovery: Double?
        let host: String
    }

    /// Reports that do not read are named, and the others listed; exit status 12 then.
    func list(source: String?) throws -> Int32 {
        var damaged = 0
        func tell(_ error: RepoError) {
            damaged += 1
            context.warn("\(error.message); it is left out")
        }
        let entries = try reports.all { tell($1) }.filter { source == nil || $0.report.source == source }
        var rows: [(entry: Reports.Entry, report: DrillReport)] = []
        for entry in entries {
            do { rows.append((entry, try Self.decode(entry))) } catch { tell(error) }
        }
        if context.options.json {
            try context.console.print(
                JSONOutput.pretty(
                    rows.map { entry, report in
                        Row(
                            id: "\(entry.id)", shortId: entry.id.short, time: TimeDisplay.utc(entry.report.time), source: entry.report.source,
                            kind: report.kind, outcome: report.outcome.rawValue, exitStatus: entry.report.outcome, asked: report.asked,
                            moment: report.moment, secondsToRecovery: report.secondsToRecovery, host: entry.report.host)
                    }))
        } else if !rows.isEmpty {
            var table = TextTable(["ID", "Time", "Source", "Result", "Tested", "To recovery", "Host"], rightAligned: [5])
            for (entry, report) in rows {
                table.add([
                    entry.id.short, TimeDisplay.local(entry.report.time, in: context.zone), TextDisplay.oneLine(entry.report.source),
                    report.outcome.rawValue, report.moment ?? report.asked, report.secondsToRecovery.map { NumberText.seconds($0) } ?? "",
                    TextDisplay.oneLine(entry.report.host),
                ])
            }
            try context.console.write(table.text)
        } else if damaged == 0 {
            context.note("There are no reports" + (source == nil ? " yet." : " of this source."))
        }
        return damaged == 0 ? ExitStatus.done : RepoError.Code.damaged.exitStatus
    }

    func show(_ name: String) throws -> Int32 {
        let entry = try reports.find(name)
        let report = try Self.decode(entry)
        if context.options.json {
            try context.console.print(JSONOutput.pretty(DrillResult(id: "\(entry.id)", report: report)))
        } else {
            for line in DrillText.lines(report, id: entry.id) { try context.console.print(line) }
        }
        return ExitStatus.done
    }

    /// Throws `.damaged` for one that another version may have written in a way that this one does not know.
    static func decode(_ entry: Reports.Entry) throws(RepoError) -> DrillReport {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            return try decoder.decode(DrillReport.self, from: Data(entry.report.text.utf8))
        } catch {
            throw RepoError(
                .damaged, "report \(entry.id.short) is not understood: its JSON lacks what this version knows",
                advice: "A newer version may have written it.")
        }
    }
}

/// `repo drill --json`: the report with its id in the repository, where it could be kept there.
struct DrillResult: Encodable {
    let id: String?
    let report: DrillReport

    private enum Key: String, CodingKey {
        case id
        case exitStatus
    }

    func encode(to encoder: any Encoder) throws {
        try report.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(id, forKey: .id)
        try container.encode(report.outcome.exitStatus, forKey: .exitStatus)
    }
}
