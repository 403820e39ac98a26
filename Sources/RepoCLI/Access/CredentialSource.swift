import BlobEngine
import RepoBase
import Repository

/// Where the password or key comes from: the command line, before the environment, before the configuration, before
/// a question on the terminal.
enum CredentialSource: Equatable {
    case passwordFile(String)
    case passwordCommand(String)
    case password(String)
    case keyFile(String)
    case terminal

    /// Throws `.usage` when one of the three places names several.
    static func choose(
        _ options: GlobalOptions, _ console: Console, _ configured: ConfiguredRepository
    ) throws(RepoError) -> CredentialSource {
        let places: [(String, [(String, CredentialSource?)])] = [
            (
                "the command line",
                [
                    ("--key-file", options.keyFile.map(keyFile)),
                    ("--password-file", options.passwordFile.map(passwordFile)),
                    ("--password-command", options.passwordCommand.map(passwordCommand)),
                ]
            ),
            (
                "the environment",
                [
                    ("REPO_KEY_FILE", console.variable("REPO_KEY_FILE").map(keyFile)),
                    ("REPO_PASSWORD_FILE", console.variable("REPO_PASSWORD_FILE").map(passwordFile)),
                    ("REPO_PASSWORD_COMMAND", console.variable("REPO_PASSWORD_COMMAND").map(passwordCommand)),
                    ("REPO_PASSWORD", console.variable("REPO_PASSWORD").map(password)),
                ]
            ),
            (
                "the configuration",
                [
                    ("key-file", configured.keyFile.map(keyFile)),
                    ("password-file", configured.passwordFile.map(passwordFile)),
                    ("password-command", configured.passwordCommand.map(passwordCommand)),
                ]
            ),
        ]
        for (place, named) in places {
            let given = named.filter { $0.1 != nil }
            guard given.count < 2 else {
                throw RepoError(
                    .usage, "\(given.map(\.0).joined(separator: " and ")) are both given in \(place)",
                    advice: "Keep one of them.")
            }
            if let source = given.first?.1 { return source }
        }
        return .terminal
    }

    /// Reads it. The question on the terminal is asked for `prompt`, twice when `isNew`.
    func credentials(
        _ console: Console, prompt: String, isNew: Bool = false
    ) throws -> Credentials {
        switch self {
        case .keyFile(let path): return .machineKey(try LocalFile.read(path, "the key file", limit: 64 << 10))
        case .passwordFile(let path):
            return .password(
                try password(in: LocalFile.read(path, "the password file", limit: 1 << 20), path))
        case .password(let text): return .password(Array(text.utf8))
        case .passwordCommand(let command):
            return .password(try password(in: ShellCommand.output(command, "the password command"), command))
        case .terminal: return .password(try PasswordPrompt.ask(console, prompt, twice: isNew))
        }
    }

    /// The first line, without its end.
    private func password(in bytes: [UInt8], _ place: String) throws(RepoError) -> [UInt8] {
        // Appended, so that it has memory of its own: an array made of a slice that is the whole array is that array, and would be wiped with it.
        var line: [UInt8] = []
        line.append(contentsOf: bytes.prefix { $0 != UInt8(ascii: "\n") })
        defer { SecretBytes.wipe(bytes) }
        if line.last == UInt8(ascii: "\r"), line.count < bytes.count { line.removeLast() }
        guard !line.isEmpty else {
            throw RepoError(
                .usage, "the password from '\(place)' is empty", advice: "Its first line must hold it.")
        }
        return line
    }
}
