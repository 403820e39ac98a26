import ArgumentParser
import RepoBase
import Storage

struct StorageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage",
        abstract: "Look at the store that a repository lives in.",
        subcommands: [StorageProbeCommand.self, StorageExtendLockCommand.self])
}

struct StorageProbeCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Prove by trying whether a repository can live in a store.",
        discussion: """
            Puts, races for, reads, lists and deletes objects of its own, and looks for rules that would delete or put away those of a \
            repository. Exit 1 when the store is not safe. 'repo init' does this by itself on remote stores.

            Example:
              repo storage probe --repo s3://bucket/prefix
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Row: Encodable {
        let subject: String
        let grade: String
        let detail: String
    }

    private struct Result: Encodable {
        let url: String
        let safe: Bool
        let findings: [Row]
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let store = try context.location().openForProbing(context)
        let findings = try StoreProbe(store).run()
        let isSafe = !findings.contains { $0.grade == .unsafe }
        if context.options.json {
            let rows = findings.map { Row(subject: $0.subject, grade: $0.grade.rawValue, detail: $0.detail) }
            try context.console.print(JSONOutput.line(Result(url: store.location, safe: isSafe, findings: rows)))
        } else {
            var table = TextTable(["What", "Grade", "Finding"])
            for finding in findings { table.add([finding.subject, finding.grade.rawValue, TextDisplay.oneLine(finding.detail)]) }
            try context.console.write(table.text)
            try context.console.print(
                isSafe ? "a repository can live in \(store.location)" : "no repository can live in \(store.location)")
        }
        return isSafe ? ExitStatus.done : RepoError.Code.failed.exitStatus
    }
}

extension StoreProbe {
    /// Throws `.failed` for a store in which a repository would lose data, before anything is made there.
    static func require(_ store: any Store, _ context: CommandContext) throws {
        let findings = try StoreProbe(store).run()
        for finding in findings where finding.grade == .warning { context.warn("\(finding.subject): \(finding.detail)") }
        let problems = findings.filter { $0.grade == .unsafe }.map { "\($0.subject): \($0.detail)" }
        guard !problems.isEmpty else { return }
        throw RepoError(
            .failed, "no repository can live in \(store.location): \(problems.joined(separator: "; "))",
            advice: "Use another provider, or change the bucket's rules; 'repo storage probe' shows all that was found.")
    }
}
