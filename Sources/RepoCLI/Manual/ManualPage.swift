import RepoBase

/// A manual page in man(7)'s macros, made from a command's help.
struct ManualPage {
    private let command: CommandDescription

    init(_ command: CommandDescription) { self.command = command }

    /// `repo-snapshot-files.1`
    var fileName: String { command.words.joined(separator: "-") + ".1" }

    var text: String {
        let name = command.words.joined(separator: "-")
        var lines = [
            ".TH \(Self.quoted(name.uppercased())) 1 \"\" \(Self.quoted("repo \(ProgramVersion.current)"))",
            ".SH NAME",
            "\(Self.escaped(name)) \\- \(Self.escaped(Self.sentence(command.abstract ?? "")))",
            ".SH SYNOPSIS",
            synopsis,
        ]
        if let discussion = command.discussion, !discussion.isEmpty {
            lines += [".SH DESCRIPTION"] + Self.paragraphs(discussion)
        }
        lines += options
        let below = command.all.dropFirst().filter { $0.words.count == command.words.count + 1 }
        if !below.isEmpty {
            lines.append(".SH COMMANDS")
            for command in below {
                lines += [
                    ".TP", ".BR \(Self.escaped(command.words.joined(separator: "-"))) (1)",
                    Self.escaped(command.abstract ?? ""),
                ]
            }
        }
        if command.words.count == 1 { lines += Self.exitStatus }
        if command.words.count > 1 { lines += [".SH SEE ALSO", ".BR repo (1)"] }
        return lines.joined(separator: "\n") + "\n"
    }

    private var shown: [CommandDescription.Argument] { (command.arguments ?? []).filter(\.shouldDisplay) }

    private var synopsis: String {
        var words = command.words.map { "\\fB\(Self.escaped($0))\\fR" }
        if command.subcommands?.isEmpty ?? true {
            if shown.contains(where: { $0.kind != "positional" }) { words.append("[\\fIoptions\\fR]") }
            for argument in shown where argument.kind == "positional" {
                let name =
                    "\\fI\(Self.escaped(argument.valueName ?? "value"))\\fR"
                    + (argument.isRepeating ? " ..." : "")
                words.append(argument.isOptional ? "[\(name)]" : name)
            }
        } else {
            words.append("\\fIcommand\\fR")
        }
        return words.joined(separator: " ")
    }

    private var options: [String] {
        var lines: [String] = []
        var section: String?
        for argument in shown where argument.kind != "positional" || argument.abstract != nil {
            let title = argument.kind == "positional" ? "Arguments" : argument.sectionTitle ?? "Options"
            if title != section {
                lines.append(".SH \(Self.quoted(title.uppercased()))")
                section = title
            }
            lines += [".TP", Self.heading(argument), Self.escaped(argument.abstract ?? "")]
        }
        return lines
    }

    private static func heading(_ argument: CommandDescription.Argument) -> String {
        let value = argument.valueName.map { "\\fI\(escaped($0))\\fR" }
        switch argument.kind {
        case "positional": return value ?? ""
        case "flag": return names(argument)
        default: return names(argument) + (value.map { " \($0)" } ?? "")
        }
    }

    private static func names(_ argument: CommandDescription.Argument) -> String {
        (argument.names ?? []).map { "\\fB\(escaped($0.text))\\fR" }.joined(separator: ", ")
    }

    /// Indented lines, as of examples, stay as they are; others are filled.
    private static func paragraphs(_ text: String) -> [String] {
        var lines: [String] = []
        var isExample = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let indented = line.hasPrefix("  ")
            if indented != isExample {
                lines.append(indented ? ".nf" : ".fi")
                isExample = indented
            }
            lines.append(line.isEmpty ? ".PP" : escaped(String(line)))
        }
        return isExample ? lines + [".fi"] : lines
    }

    /// As `NAME` sections have it: no capital at the start, no full stop at the end.
    private static func sentence(_ text: String) -> String {
        let trimmed = text.hasSuffix(".") ? String(text.dropLast()) : text
        return trimmed.prefix(1).lowercased() + trimmed.dropFirst()
    }

    private static func quoted(_ text: String) -> String { "\"\(escaped(text))\"" }

    /// A dot or an apostrophe at the start of a line would be a request; hyphens are to be copied from the page.
    private static func escaped(_ text: String) -> String {
        let text = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
        return text.hasPrefix(".") || text.hasPrefix("'") ? "\\&" + text : text
    }

    private static let exitStatus: [String] = {
        let meanings: [(String, String)] = [
            ("0", "Done."), ("1", "Failed."), ("2", "Wrong usage or configuration."),
            ("3", "Done, but something of the source could not be read; the snapshot exists and says so."),
            ("10", "There is no repository."), ("11", "Wrong password or key."), ("12", "Damage was found."),
            ("13", "The asked-for time cannot be recovered."),
            ("14", "Conflict: the name exists with other content."),
            ("15", "Refused by policy: retention lock, legal hold, or a key that may only add."),
            ("75", "The store could not be reached after retries."), ("130", "Interrupted."),
        ]
        return [".SH EXIT STATUS"] + meanings.flatMap { [".TP", $0.0, escaped($0.1)] }
    }()
}
