import RepoBase

/// Where a repository is, as people write it after `--repo`: a path or a `file:` URL.
public struct StoreLocation: Hashable, Sendable, CustomStringConvertible {
    /// The directory's path, absolute or relative to the current directory.
    public let path: String

    public var description: String { path }

    /// Stores on other machines that this version knows by name only.
    private static let later: Set<String> = ["s3", "azblob", "gs", "sftp"]

    /// Throws `.usage` for text that names no directory. Text may hold secrets (a URL with a password), so
    /// errors quote its scheme only.
    public init(_ text: String) throws {
        guard !text.isEmpty, !text.utf8.contains(0) else {
            throw RepoError(
                .usage, "the repository's location is empty or holds a zero byte",
                advice: "Give --repo (or REPO_URL) a directory, for example --repo /srv/backup.")
        }
        guard let scheme = Self.scheme(of: text) else {
            guard text != "~", !text.hasPrefix("~/") else {
                throw RepoError(
                    .usage, "'\(text)' begins with '~', which nothing here expands",
                    advice: "Write the path of the home directory in full.")
            }
            path = text
            return
        }
        let rest = text.dropFirst(scheme.utf8.count + 1)
        let lowered = scheme.lowercased()
        if lowered == "file" {
            path = try Self.path(ofFileURL: rest)
        } else if Self.later.contains(lowered) {
            throw RepoError(
                .usage, "stores of kind '\(lowered):' are not in this version",
                advice: "Use a directory, for example one where the remote storage is mounted.")
        } else {
            throw RepoError(
                .usage, "'\(scheme):' is no kind of store that this program knows",
                advice: "For a directory of that name put './' before it.")
        }
    }

    /// Opens the store. Throws as `LocalStore.init`.
    public func open(mustExist: Bool, clock: StoreClock = .system) throws -> any Store {
        try LocalStore(path: path, mustExist: mustExist, clock: clock)
    }

    /// What stands before the first colon, where it has the form of a scheme (RFC 3986, section 3.1).
    private static func scheme(of text: String) -> String? {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let scheme = text[..<colon].utf8
        let others = Array("0123456789+-.".utf8)
        guard let first = scheme.first, isLetter(first),
            scheme.allSatisfy({ isLetter($0) || others.contains($0) })
        else { return nil }
        return String(text[..<colon])
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    /// RFC 8089: `/path` or `//localhost/path` or `///path`, with percent encoding.
    private static func path(ofFileURL rest: Substring) throws -> String {
        var path = rest
        if path.hasPrefix("//") {
            path = path.dropFirst(2)
            let host = path.prefix { $0 != "/" }
            guard host.isEmpty || host == "localhost" else {
                throw RepoError(
                    .usage, "a file: URL with the host '\(host)' names no directory of this machine",
                    advice: "Write file:///path with three slashes, or the path alone.")
            }
            path = path.dropFirst(host.count)
        }
        guard path.hasPrefix("/") else {
            throw RepoError(
                .usage, "a file: URL needs an absolute path", advice: "For a relative path leave out 'file:'."
            )
        }
        guard let decoded = decoded(path) else {
            throw RepoError(
                .usage, "a '%' in a file: URL stands before two hexadecimal digits other than 00",
                advice: "Write '%25' for a percent sign, or the path without 'file:'.")
        }
        return decoded
    }

    private static func decoded(_ text: Substring) -> String? {
        let digits = Array("0123456789abcdef".utf8)
        func value(_ byte: UInt8) -> UInt8? {
            digits.firstIndex(of: byte >= UInt8(ascii: "A") ? byte | 0x20 : byte).map { UInt8($0) }
        }
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(value), let low = rest.popFirst().flatMap(value),
                high << 4 | low != 0
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
