import ArgumentParser
import Foundation

/// A command as the parser describes it: what manual pages are made of.
struct CommandDescription: Decodable {
    struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String

            /// `-n` or `--name`.
            var text: String { (kind == "long" ? "--" : "-") + name }
        }

        let kind: String
        let abstract: String?
        let isOptional: Bool
        let isRepeating: Bool
        let shouldDisplay: Bool
        let valueName: String?
        let names: [Name]?
        let sectionTitle: String?
    }

    let commandName: String
    let superCommands: [String]?
    let abstract: String?
    let discussion: String?
    let shouldDisplay: Bool?
    let arguments: [Argument]?
    let subcommands: [CommandDescription]?

    /// All words of it: `repo snapshot files`.
    var words: [String] { (superCommands ?? []) + [commandName] }

    /// Of the whole program.
    static func program() throws -> CommandDescription {
        struct Dump: Decodable {
            let command: CommandDescription
        }
        return try JSONDecoder().decode(Dump.self, from: Data(RepoCommand._dumpHelp().utf8)).command
    }

    /// Itself and everything below it that is shown, without the `help` command of the parser's own.
    var all: [CommandDescription] {
        let shown = (subcommands ?? []).filter { $0.shouldDisplay ?? true && $0.commandName != "help" }
        return [self] + shown.flatMap(\.all)
    }
}
