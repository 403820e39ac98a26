import ArgumentParser
import BlobEngine
import Policy
import RepoBase
import Repository

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "List, make and remove the keys that open the repository.",
        subcommands: [
            KeyListCommand.self, KeyAddCommand.self, KeyRemoveCommand.self, KeyPasswordCommand.self,
            KeyRotateCommand.self,
            KeyExportCommand.self,
        ])
}

struct KeyListCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the repository's keys, removed ones too.")

    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Row: Encodable {
        let id: String
        let role: String
        let kind: String
        let state: String
        let created: String
        let label: String
        let current: Bool
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let keys = try context.openRepository().keys
        let rows = keys.listKeys().map { key in
            Row(
                id: "\(key.id)", role: "\(key.role)", kind: "\(key.kind)", state: "\(key.state)",
                created: TimeDisplay.utc(seconds: key.created), label: key.label,
                current: key.id == keys.keyID)
        }
        if context.options.json {
            try context.console.print(JSONOutput.pretty(rows))
        } else {
            var table = TextTable(["", "ID", "Role", "Kind", "State", "Created", "Label"])
            for row in rows {
                table.add([
                    row.current ? "*" : "", row.id, row.role, row.kind, row.state, row.created, row.label,
                ])
            }
            try context.console.write(table.text)
        }
        return ExitStatus.done
    }
}

/// What the commands that make keys print.
struct MadeKey: Encodable {
    let keyId: String
    let keyFile: String?

    func show(_ context: CommandContext, _ line: String) throws {
        try context.console.print(context.options.json ? JSONOutput.line(self) : line)
    }
}

struct KeyAddCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Make another key: for a machine, or with a password.",
        discussion: """
            With --out it is a machine key, kept in a file of one line that only its owner can read. Without, it has \
            a password of its own.

            Examples:
              repo key add --out /etc/repo/machine.key --label web1
              repo key add --writer --out /etc/repo/machine.key
              repo key add --new-password-file /root/second-password
            """)

    @Option(help: ArgumentHelp("Make a machine key and write it to this new file.", valueName: "file"))
    var out: String?
    @Flag(help: "The key can add backups, and cannot read any.")
    var writer = false
    @Option(help: ArgumentHelp("The new key's password.", valueName: "file"))
    var newPasswordFile: String?
    @Option(help: ArgumentHelp("A name for the key, for people.", valueName: "text"))
    var label = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if out != nil, newPasswordFile != nil {
            throw ValidationError("--out and --new-password-file exclude each other.")
        }
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository(to: "change keys")
        var keys = repository.keys
        let role: KeyRole = writer ? .writer : .full
        let protection: KeyProtection =
            out == nil ? .password(try NewPassword.read(newPasswordFile, context)) : .machine
        let added = try keys.addKey(to: repository.store, protection, role: role, label: label)
        try repository.freshness?.compareConfig(&keys, repository.store)
        if let out, let text = added.keyFile {
            do {
                try LocalFile.create(out, text, "the key file")
            } catch {
                // A key that nobody has is of no use to anybody.
                try? keys.removeKey(added.id, from: repository.store)
                throw error
            }
        }
        try MadeKey(keyId: "\(added.id)", keyFile: out).show(
            context, "key \(added.id)" + (out.map { " written to \($0)" } ?? " added"))
        return ExitStatus.done
    }
}

/// A password that is about to be set.
enum NewPassword {
    static func read(_ file: String?, _ context: CommandContext) throws -> [UInt8] {
        let source = file.map(CredentialSource.passwordFile) ?? .terminal
        let credentials = try source.credentials(context.console, prompt: "New password", isNew: true)
        guard case .password(let password) = credentials else {
            throw RepoError(.usage, "there is no password")
        }
        return password
    }
}

struct KeyRemoveCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take a key's access away, for good.",
        discussion: """
            What the key signed stays valid. Who kept a copy of it can still read what was stored until now; follow \
            with 'repo key rotate' to keep new backups from them.
            """)

    @Argument(help: ArgumentHelp("The key's id, or its first digits.", valueName: "key"))
    var key: String
    @Flag(help: "Remove it even when it is the key in use.")
    var evenOwn = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository(to: "change keys")
        var keys = repository.keys
        let matches = keys.listKeys().filter { $0.state == .active && "\($0.id)".hasPrefix(key.lowercased()) }
        guard let found = matches.first, !key.isEmpty else {
            throw RepoError(
                .notFound, "no active key's id begins with '\(key)'",
                advice: "'repo key list' shows what there is.")
        }
        guard matches.count == 1 else {
            throw RepoError(
                .usage, "\(matches.count) keys' ids begin with '\(key)'", advice: "Give more digits.")
        }
        try keys.removeKey(found.id, from: repository.store, evenOwn: evenOwn)
        try repository.freshness?.compareConfig(&keys, repository.store)
        try MadeKey(keyId: "\(found.id)", keyFile: nil).show(context, "key \(found.id) removed")
        return ExitStatus.done
    }
}

struct KeyPasswordCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd", abstract: "Change the password of the key in use.")

    @Option(help: ArgumentHelp("Read the new password from this file.", valueName: "file"))
    var newPasswordFile: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository(to: "change keys")
        var keys = repository.keys
        try keys.changePassword(to: NewPassword.read(newPasswordFile, context), in: repository.store)
        try MadeKey(keyId: "\(keys.keyID)", keyFile: nil).show(
            context, "password of key \(keys.keyID) changed")
        return ExitStatus.done
    }
}

struct KeyRotateCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Seal everything from now on with new keys.",
        discussion: "Older data stays readable; 'repo prune' reseals what it rewrites, and with --end-rotation all of it.")

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository(to: "change keys")
        var keys = repository.keys
        let epoch = try keys.rotate(in: repository.store)
        try repository.freshness?.compareConfig(&keys, repository.store)
        try context.console.print(
            context.options.json ? JSONOutput.line(["epoch": epoch]) : "epoch \(epoch) has begun")
        return ExitStatus.done
    }
}

struct KeyExportCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Make a full key to be kept in a safe, for the day when all others are lost.",
        discussion: """
            Without --out the key, one line of text, goes to standard output, to be printed on paper.

            Example:
              repo key export --out /media/safe/repo.key
            """)

    @Option(help: ArgumentHelp("Write the key to this new file.", valueName: "file"))
    var out: String?
    @Option(help: ArgumentHelp("A name for the key, for people.", valueName: "text"))
    var label = "recovery"
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository(to: "change keys")
        var keys = repository.keys
        let added = try keys.exportKey(to: repository.store, label: label)
        try repository.freshness?.compareConfig(&keys, repository.store)
        guard let text = added.keyFile else { throw RepoError(.failed, "the new key has no file") }
        guard let out else {
            try context.console.write(text)
            return ExitStatus.done
        }
        do {
            try LocalFile.create(out, text, "the key file")
        } catch {
            try? keys.removeKey(added.id, from: repository.store)
            throw error
        }
        try MadeKey(keyId: "\(added.id)", keyFile: out).show(context, "key \(added.id) written to \(out)")
        return ExitStatus.done
    }
}
