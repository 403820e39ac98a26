import ArgumentParser
import Foundation
import RepoBase

/// For packagers.
struct ManualCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Write the manual pages.",
        discussion: """
            Example:
              repo manual --out /usr/local/share/man/man1
            """,
        shouldDisplay: false)

    @Option(help: ArgumentHelp("The folder to write into; made where it is missing.", valueName: "folder"))
    var out: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        do {
            try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
            for command in try CommandDescription.program().all {
                let page = ManualPage(command)
                try Data(page.text.utf8).write(
                    to: URL(fileURLWithPath: "\(out)/\(page.fileName)"), options: .atomic)
                if context.options.verbose { context.note(page.fileName) }
            }
        } catch let error as CocoaError {
            throw RepoError(.failed, "the manual pages cannot be written: \(error.localizedDescription)")
        }
        return ExitStatus.done
    }
}
