import RepoBase

/// What went wrong between us and the server, before it is known which object it concerns.
struct SFTPFailure: Error, Hashable {
    let code: RepoError.Code
    /// Why: a clause without a full stop.
    let cause: String
    let advice: String

    init(_ code: RepoError.Code, _ cause: String, _ advice: String) {
        self.code = code
        self.cause = cause
        self.advice = advice
    }

    func error(_ action: String, in location: String) -> RepoError {
        RepoError(code, "cannot \(action) in \(location): \(cause)", advice: advice)
    }

    /// Bytes that no server sends that speaks version 3.
    static func broken(_ what: String) -> SFTPFailure {
        SFTPFailure(
            .failed, "the server's answer is not SFTP (\(what))", "Try 'sftp' to the same place; look for another server's fault, or a script that writes there.")
    }

    static let lost = SFTPFailure(.unreachable, "the connection was lost", "Check that the server is up, then run again; nothing that was stored is lost.")

    /// The connection ended before it was one.
    /// - Parameters:
    ///   - words: what the program wrote to its standard error.
    ///   - status: of its end, as waitpid(2) tells it.
    static func connecting(_ words: String, _ location: SFTPLocation) -> SFTPFailure {
        let lines = words.split(whereSeparator: \.isNewline).map { $0.filter { !$0.isASCII || $0 >= " " } }.filter { !$0.isEmpty && !$0.hasPrefix("@") }
        let last = lines.last.map { "ssh says: " + ($0.hasPrefix("ssh: ") ? $0.dropFirst(5) : $0[...]).prefix(300) } ?? "the connection ended before it began"
        let login = "ssh " + (location.port.map { "-p \($0) " } ?? "") + location.destination
        let scan = "ssh-keyscan " + (location.port.map { "-p \($0) " } ?? "") + location.host
        let file = location.knownHosts ?? "~/.ssh/known_hosts"
        if words.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") || words.contains("host key has changed") {
            let entry = location.port.map { "[\(location.host)]:\($0)" } ?? location.host
            return SFTPFailure(
                .failed, "the server's host key has changed: this may be another machine that poses as it",
                "If the server was set up anew, compare its key there ('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub'), then run "
                    + "'ssh-keygen -R \"\(entry)\" -f \(file)' and '\(scan) >> \(file)'.")
        }
        if words.contains("Host key verification failed") || words.contains("host key is known for") {
            return SFTPFailure(
                .failed, "the server's host key is not known here",
                "Run '\(scan) >> \(file)' as this user, and compare it with the server's own: 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' there, "
                    + "'ssh-keygen -lf \(file)' here.")
        }
        if words.contains("Permission denied") || words.contains("Too many authentication failures") {
            return SFTPFailure(
                .failed, "the server does not let this user in: \(last)",
                "A key without a passphrase or an agent is needed: '\(login.replacing("ssh ", with: "ssh-copy-id ", maxReplacements: 1))', then "
                    + "'\(login.replacing("ssh ", with: "ssh -o BatchMode=yes ", maxReplacements: 1))' must work as this user.")
        }
        if words.contains("subsystem request failed") {
            return SFTPFailure(.failed, "the server offers no SFTP", "Add 'Subsystem sftp internal-sftp' to its sshd_config.")
        }
        if words.contains("Bad configuration option") || words.contains("Unable to negotiate") || words.contains("command-line") || words.contains("usage:") {
            return SFTPFailure(.failed, last, "Try '\(login)' as this user.")
        }
        return SFTPFailure(.unreachable, last, "Check the name, the port and the network: '\(login)'.")
    }
}

/// What a server says of a request that is done or failed (draft-ietf-secsh-filexfer-02, section 7).
struct SFTPStatus: Hashable {
    let code: UInt32
    /// The server's words, bounded and printable.
    let message: String

    static let ok: UInt32 = 0
    static let end: UInt32 = 1
    static let noSuchFile: UInt32 = 2
    static let permissionDenied: UInt32 = 3
    static let failure: UInt32 = 4
    static let badMessage: UInt32 = 5
    static let noConnection: UInt32 = 6
    static let connectionLost: UInt32 = 7
    static let unsupported: UInt32 = 8

    /// OpenSSH says `badMessage` of a name that is too long for the file system.
    var isAbsence: Bool { code == Self.noSuchFile || code == Self.badMessage }

    var failure: SFTPFailure {
        let words = message.isEmpty ? "status \(code)" : message
        switch code {
        case Self.noSuchFile: return SFTPFailure(.failed, "there is no such file or directory (\(words))", "Run again; something else removes files there.")
        case Self.permissionDenied:
            return SFTPFailure(.failed, "the server refuses it (\(words))", "Give the SSH user read and write access to the repository's directory.")
        case Self.noConnection, Self.connectionLost: return .lost
        case Self.unsupported: return SFTPFailure(.failed, "the server cannot do that (\(words))", "Use an OpenSSH server, on a file system with hard links.")
        default:
            return SFTPFailure(
                .failed, "the server says no more than '\(words)'",
                "Look at the server's disk, the user's quota, and its log; SFTP has no words for these.")
        }
    }
}
