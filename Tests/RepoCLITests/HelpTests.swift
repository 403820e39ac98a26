import ArgumentParser
import Foundation
import Testing

@testable import RepoCLI

@Suite("Help, manual pages and completions")
struct HelpTests {
    private static let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Golden")

    private static func all(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        [command] + command.configuration.subcommands.flatMap { all($0) }
    }

    private func text(_ command: any ParsableCommand.Type) -> String {
        RepoCommand.helpMessage(for: command, columns: 100)
    }

    /// With REPO_UPDATE_GOLDEN=1 they are written anew, to be looked at before they are committed.
    @Test func helpIsAsItWasAgreed() throws {
        let isUpdating = ProcessInfo.processInfo.environment["REPO_UPDATE_GOLDEN"] == "1"
        for command in Self.all(RepoCommand.self) {
            let file = Self.golden.appendingPathComponent("\(command).txt")
            let text = text(command) + "\n"
            if isUpdating { try Data(text.utf8).write(to: file) }
            let expected = try? String(contentsOf: file, encoding: .utf8)
            #expect(
                text == expected,
                "\(file.lastPathComponent); run with REPO_UPDATE_GOLDEN=1 when this is wanted")
        }
    }

    @Test func everyCommandHasAnAbstractAndTakesTheGlobalOptions() {
        for command in Self.all(RepoCommand.self) {
            #expect(!command.configuration.abstract.isEmpty, "\(command)")
            if command.configuration.subcommands.isEmpty {
                for option in [
                    "--repo", "--password-file", "--key-file", "--config", "--cache-dir", "--json", "--quiet",
                ] {
                    #expect(text(command).contains(option), "\(command) lacks \(option)")
                }
            }
        }
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsAreThereForEachShell(_ shell: String) throws {
        let outcome = try CommandSession(creating: false).run("--generate-completion-script", shell)
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("snapshots"))
    }

    @Test func helpAndVersionAreResults() throws {
        let session = try CommandSession(creating: false)
        #expect(session.run("--version").output.hasPrefix("repo "))
        for arguments in [["--help"], ["help", "snapshot", "files"], ["restore", "--help"], ["key"], []] {
            let outcome = session.run(arguments)
            #expect(outcome.status == 0)
            #expect(outcome.output.contains("USAGE:"), "\(arguments)")
            #expect(outcome.errors.isEmpty)
        }
    }

    @Test func everyCommandHasAManualPage() throws {
        let session = try CommandSession(creating: false)
        let outcome = session.run("manual", "--out", session.folder + "/man")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let pages = session.names("man")
        #expect(
            pages.contains("repo.1") && pages.contains("repo-snapshot-files.1")
                && pages.contains("repo-key-add.1"))
        #expect(!pages.contains("repo-manual.1"))
        let page = try String(contentsOfFile: session.folder + "/man/repo-restore.1", encoding: .utf8)
        #expect(page.contains("\\fB\\-\\-target\\fR \\fIfolder\\fR"))
        #expect(page.contains(".SH \"GLOBAL OPTIONS\""))
    }
}
