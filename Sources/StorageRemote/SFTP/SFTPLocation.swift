public import RepoBase
import Storage

/// Where a repository is on a machine that is reached by SSH: `sftp://user@host:port/path`, or `sftp:user@host:path` as scp writes it.
///
/// In the first form the path is absolute, and one that begins with `/~/` is in the user's home directory; in the second a path without
/// a slash at its beginning is. Options follow behind a question mark, joined by `&`: `identity=PATH`, `known-hosts=PATH`,
/// `ssh-config=PATH`, `connections=N`. There are no secrets in it.
public struct SFTPLocation: Hashable, Sendable, CustomStringConvertible {
    /// Nil: ssh's own default.
    public let user: String?
    /// A name, an address, or a `Host` of ssh's configuration.
    public let host: String
    /// Nil: ssh's own default.
    public let port: UInt16?
    /// On the server; relative ones begin in the home directory. Without a slash at its end, but for `/`.
    public let path: String
    /// A file with the private key; nil: those of ssh's configuration, and of the agent.
    public private(set) var identity: String?
    /// The file of known hosts; nil: those of ssh's configuration.
    public private(set) var knownHosts: String?
    /// ssh's configuration; nil: its own default.
    public private(set) var configuration: String?
    /// Connections that are used at once; each is a process.
    public private(set) var connections = 4

    private static let options = ["identity", "known-hosts", "ssh-config", "connections"]

    /// As ssh writes it: `user@host`.
    var destination: String { user.map { "\($0)@\(host)" } ?? host }

    /// For messages: without options.
    public var description: String {
        let name = host.contains(":") ? "[\(host)]" : host
        let place = path.hasPrefix("/") ? path : "/~/" + path
        return "sftp://" + (user.map { URLText.encoded($0, keepingSlashes: false) + "@" } ?? "") + name + (port.map { ":\($0)" } ?? "")
            + URLText.encoded(place, keepingSlashes: true).replacingScalars { $0 == "?" ? "%3F" : nil }
    }

    /// - Parameter text: what stands behind `sftp:`.
    ///
    /// Throws `.usage`. Messages do not quote what may hold a secret.
    public init(parsing text: String) throws(RepoError) {
        guard !text.utf8.contains(where: { $0 < 32 || $0 == 127 }) else { throw Self.wrong("a control character", "Leave it out.") }
        let halves = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var place = halves[0]
        let isURL = place.hasPrefix("//")
        if isURL { place = place.dropFirst(2) }
        // The host ends before the path: at the first slash, or as with scp at the first colon outside of brackets.
        var isInBrackets = false
        let end = place.firstIndex { character in
            if character == "[" { isInBrackets = true } else if character == "]" { isInBrackets = false }
            return character == "/" || !isURL && character == ":" && !isInBrackets
        }
        guard let end, isURL || place[end] == ":" else {
            throw Self.wrong("no path", "Write sftp://USER@HOST/PATH, or sftp:USER@HOST:PATH.")
        }
        var authority = place[..<end]
        if let at = authority.lastIndex(of: "@") {
            let name = authority[..<at]
            guard !name.contains(":") else {
                throw Self.wrong("a colon in the user's name, and passwords do not belong there", "Use a key: ssh-keygen, ssh-copy-id.")
            }
            user = try Self.decoded(name, isURL, "user")
            authority = authority[authority.index(after: at)...]
        } else {
            user = nil
        }
        var number: UInt16?
        if authority.hasPrefix("["), let bracket = authority.firstIndex(of: "]") {
            let rest = authority[authority.index(after: bracket)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw Self.wrong("something behind the address", "Write [ADDRESS]:PORT.") }
            if !rest.isEmpty { number = try Self.port(rest.dropFirst()) }
            authority = authority[authority.index(after: authority.startIndex)..<bracket]
        } else if isURL, let colon = authority.lastIndex(of: ":") {
            number = try Self.port(authority[authority.index(after: colon)...])
            authority = authority[..<colon]
        }
        port = number
        host = try Self.decoded(authority, false, "host")
        path = try Self.path(place[end...].dropFirst(isURL ? 0 : 1), isURL)
        if halves.count > 1 { try readOptions(halves[1]) }
    }

    private static func port(_ text: Substring) throws(RepoError) -> UInt16 {
        guard text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let number = UInt16(text), number > 0 else {
            throw wrong("no port behind the host's colon", "Ports are numbers from 1 to 65535.")
        }
        return number
    }

    /// A user's or a host's name. What ssh could take for an option, or a shell of its configuration for more than a word, is refused.
    private static func decoded(_ text: Substring, _ isURL: Bool, _ what: String) throws(RepoError) -> String {
        guard let name = isURL ? URLText.decoded(text) : String(text), !name.isEmpty, !name.hasPrefix("-"),
            name.utf8.allSatisfy({ $0 > 32 && $0 < 127 }), !name.contains(where: { "\\\"'`$;&|<>(){}[]*?!#,/".contains($0) })
        else { throw wrong("no \(what)'s name before the path", "Write sftp://USER@HOST/PATH, or sftp:USER@HOST:PATH.") }
        return name
    }

    private static func path(_ text: Substring, _ isURL: Bool) throws(RepoError) -> String {
        guard var path = isURL ? URLText.decoded(text) : String(text), !path.utf8.contains(where: { $0 < 32 || $0 == 127 }) else {
            throw wrong("a '%' before two digits that mean no letter", "Write '%25' for a percent sign.")
        }
        if isURL, path == "/~" || path.hasPrefix("/~/") { path = String(path.dropFirst(3)) }
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        // A folder of the root's that is called '~' would have the name of the home directory.
        guard !path.isEmpty, path != "~", !path.hasPrefix("~/"), path != "/~", !path.hasPrefix("/~/"), path.utf8.count <= 1024 else {
            throw wrong("no path that can be used", "Write sftp://HOST/srv/backup, or sftp://HOST/~/backup for the home directory.")
        }
        guard !path.split(separator: "/").contains("..") else { throw wrong("'..' in its path", "Write the path without it.") }
        return path
    }

    private mutating func readOptions(_ text: Substring) throws(RepoError) {
        for option in text.split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let value = URLText.decoded(pair[1]), !value.isEmpty, !value.utf8.contains(where: { $0 < 32 }) else {
                throw Self.wrong("an option without a value: '\(pair[0])'", "Write NAME=VALUE, joined by '&'.")
            }
            switch pair[0] {
            case "identity": identity = value
            case "known-hosts": knownHosts = value
            case "ssh-config": configuration = value
            case "connections":
                guard let number = Int(value), (1...16).contains(number) else {
                    throw Self.wrong("connections=\(value)", "It is a number from 1 to 16.")
                }
                connections = number
            default: throw Self.wrong("the unknown option '\(pair[0])'", "Options are \(Self.options.joined(separator: ", ")).")
            }
        }
    }

    private static func wrong(_ what: String, _ advice: String) -> RepoError {
        RepoError(.usage, "the location on an SSH server has \(what)", advice: advice)
    }
}
