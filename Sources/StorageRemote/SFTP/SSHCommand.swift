import RepoBase

/// The program that carries SFTP, and its arguments: OpenSSH's `ssh -s HOST sftp`.
///
/// Keys, agents, known hosts, jump hosts and everything else of a connection are OpenSSH's affair. Ours is that it never asks anything,
/// never takes a host's key for granted, and is never reached through a shell.
struct SSHCommand: Hashable, Sendable {
    /// The first is found by PATH.
    let words: [String]

    /// - Parameter command: to use instead of `ssh`, as `REPO_SSH_COMMAND` has it: words, in quotes where they hold blanks.
    ///
    /// Throws `.usage`, also for a command that would let any host's key pass.
    init(_ location: SFTPLocation, command: String?) throws(RepoError) {
        var words = try command.map { text throws(RepoError) in try Self.split(text) } ?? ["ssh"]
        let text = words.dropFirst().joined(separator: " ").lowercased()
        if let option = text.ranges(of: "stricthostkeychecking").first {
            let value = text[option.upperBound...].drop { " =".contains($0) }.prefix { $0 != " " }
            guard value == "yes" else {
                throw RepoError(
                    .usage, "REPO_SSH_COMMAND sets StrictHostKeyChecking to '\(value)', so that anybody could be the server",
                    advice: "Leave it out, and add the server's key to known_hosts.")
            }
        }
        for option in [
            "BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "PermitLocalCommand=no",
            // A master of its own would outlive us; one that runs already is used.
            "ControlMaster=no", "RequestTTY=no", "Compression=no", "ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4",
            "LogLevel=ERROR",
        ] { words += ["-o", option] }
        if let file = location.configuration { words += ["-F", file] }
        if let file = location.identity { words += ["-i", file, "-o", "IdentitiesOnly=yes"] }
        if let file = location.knownHosts { words += ["-o", "UserKnownHostsFile=\(Self.quoted(file))"] }
        if let port = location.port { words += ["-p", "\(port)"] }
        if let user = location.user { words += ["-l", user] }
        self.words = words + ["-s", "--", location.host, "sftp"]
    }

    /// As ssh_config(5) reads a value that may hold blanks.
    private static func quoted(_ path: String) -> String { path.contains(" ") ? "\"\(path)\"" : path }

    /// Words between blanks, as a shell splits them and without anything else that a shell does: quotes of both kinds, and a backslash
    /// outside of single ones before any character.
    static func split(_ text: String) throws(RepoError) -> [String] {
        var words: [String] = []
        var word = String.UnicodeScalarView()
        var isWord = false
        var quote: Unicode.Scalar?
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case quote: quote = nil
            case "\\" where quote != "'":
                guard let next = rest.popFirst() else { throw wrong("ends with a backslash") }
                word.append(next)
                isWord = true
            case "\"" where quote == nil, "'" where quote == nil:
                quote = scalar
                isWord = true
            case " " where quote == nil, "\t" where quote == nil, "\n" where quote == nil:
                if isWord { words.append(String(word)) }
                word = .init()
                isWord = false
            default:
                word.append(scalar)
                isWord = true
            }
        }
        guard quote == nil else { throw wrong("has a quote that does not end") }
        if isWord { words.append(String(word)) }
        guard let first = words.first, !first.isEmpty, !text.utf8.contains(0) else { throw wrong("names no program") }
        return words
    }

    private static func wrong(_ what: String) -> RepoError {
        RepoError(.usage, "REPO_SSH_COMMAND \(what)", advice: "Write a program and its arguments, as in 'ssh -i /etc/repo/ssh_key'.")
    }
}
