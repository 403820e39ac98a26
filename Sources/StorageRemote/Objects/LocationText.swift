import RepoBase
import Storage

/// What locations in object stores have in common: `//bucket/prefix` or `https://host/bucket/prefix`, and options behind a question mark, joined
/// by `&`, values percent-encoded. There are no secrets in them.
struct LocationText {
    /// How a kind of store is spoken of.
    struct Kind: Sendable {
        /// `s3`
        let scheme: String
        /// "S3"
        let name: String
        /// "bucket"
        let bucket: String
        /// "Set … instead."
        let secretsAdvice: String
        let options: [String]
    }

    let kind: Kind
    /// `https://host` or with a port.
    let endpoint: String?
    /// The parts behind host or `//`, the bucket first; none is empty.
    private(set) var parts: [Substring]
    private(set) var options: [String: String] = [:]

    /// - Parameter text: what stands behind the scheme's colon.
    ///
    /// Throws `.usage`. Messages do not quote what may hold a secret.
    init(parsing text: String, _ kind: Kind) throws(RepoError) {
        self.kind = kind
        let halves = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var place = halves[0]
        let example = "\(kind.scheme):"
        let upper = kind.bucket.uppercased()
        if let scheme = ["https://", "http://"].first(where: { place.hasPrefix($0) }) {
            let rest = place.dropFirst(scheme.count)
            guard let slash = rest.firstIndex(of: "/") else {
                throw Self.wrong(kind, "no \(kind.bucket)", "Write \(example)\(scheme)HOST/\(upper)/PREFIX.")
            }
            endpoint = try Self.checkedEndpoint(scheme + rest[..<slash], kind)
            place = rest[rest.index(after: slash)...]
        } else if place.hasPrefix("//") {
            place = place.dropFirst(2)
            endpoint = nil
        } else {
            throw Self.wrong(
                kind, "neither '//' nor an address behind '\(example)'",
                "Write \(example)//\(upper)/PREFIX, or \(example)https://HOST/\(upper)/PREFIX.")
        }
        guard !place.contains("@") else {
            throw Self.wrong(kind, "an '@', and credentials do not belong into a location", kind.secretsAdvice)
        }
        while place.hasSuffix("/") { place.removeLast() }
        parts = place.split(separator: "/", omittingEmptySubsequences: false)
        if halves.count > 1 { try readOptions(halves[1]) }
    }

    private mutating func readOptions(_ text: Substring) throws(RepoError) {
        for option in text.split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let value = URLText.decoded(pair[1]), !value.isEmpty, !value.utf8.contains(where: { $0 < 32 }) else {
                throw wrong("an option without a value: '\(pair[0])'", "Write NAME=VALUE, joined by '&'.")
            }
            guard kind.options.contains(String(pair[0])) else {
                throw wrong("the unknown option '\(pair[0])'", "Options are \(kind.options.joined(separator: ", ")).")
            }
            options[String(pair[0])] = value
        }
    }

    /// The address of the location itself, or of its option `endpoint`; not both.
    func namedEndpoint() throws(RepoError) -> String? {
        guard let option = options["endpoint"] else { return endpoint }
        guard endpoint == nil else { throw wrong("two endpoints", "Leave one out.") }
        return try Self.checkedEndpoint(option, kind)
    }

    /// What is put is locked so.
    func lock() throws(RepoError) -> ObjectLock? {
        guard let text = options["lock"] else { return nil }
        return try ObjectLock(parsing: text)
    }

    /// Whether listings are asked for until two agree; nil where nothing is said.
    func listsTwice() throws(RepoError) -> Bool? {
        guard let text = options["listings"] else { return nil }
        guard let times = ["once", "twice"].firstIndex(of: text) else { throw wrong("'listings=\(text)'", "It is 'once' or 'twice'.") }
        return times == 1
    }

    /// What lies behind the bucket, with a slash at its end, or nothing.
    static func prefix(_ parts: ArraySlice<Substring>, _ kind: Kind) throws(RepoError) -> String {
        let folder = parts.joined(separator: "/")
        guard folder.isEmpty && parts.count == 0 || StorageKeyGrammar.allows(folder[...]) else {
            throw wrong(
                kind, "the prefix '\(folder)'", "Its parts have characters of a-z, A-Z, 0-9, '.', '_' and '-', and do not begin with a dot.")
        }
        return folder.isEmpty ? "" : folder + "/"
    }

    /// A scheme, a host and perhaps a port, nothing else.
    static func checkedEndpoint(_ text: String, _ kind: Kind) throws(RepoError) -> String {
        var text = text
        if text.hasSuffix("/") { text.removeLast() }
        guard !text.contains("@") else {
            throw wrong(kind, "an '@' in the endpoint, and credentials do not belong there", kind.secretsAdvice)
        }
        let scheme = ["https://", "http://"].first { text.hasPrefix($0) }
        guard let scheme, case let host = text.dropFirst(scheme.count), !host.isEmpty,
            host.utf8.allSatisfy({ $0 > 32 && $0 < 127 }), !host.contains(where: { "/?#\\\"'<>".contains($0) })
        else { throw wrong(kind, "the endpoint '\(text)'", "It is https://HOST or https://HOST:PORT, without a path.") }
        return text
    }

    /// Whether a name has so many characters of `a-z A-Z 0-9 . _ -`, no dot first and no two together: what all providers' rules allow at most.
    static func isBucket(_ name: Substring, _ length: ClosedRange<Int>) -> Bool {
        length.contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
            } && !name.hasPrefix(".") && !name.contains("..")
    }

    func wrong(_ what: String, _ advice: String) -> RepoError { Self.wrong(kind, what, advice) }

    static func wrong(_ kind: Kind, _ what: String, _ advice: String) -> RepoError {
        RepoError(.usage, "the location in \(kind.name) has \(what)", advice: advice)
    }

    /// A host as every client writes it: without the port that the scheme implies.
    static func host(of endpoint: String) -> String {
        let parts = endpoint.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        var host = String(parts[2])
        if parts[0] == "https:", host.hasSuffix(":443") { host.removeLast(4) }
        if parts[0] == "http:", host.hasSuffix(":80") { host.removeLast(3) }
        return host
    }
}

/// What keys may look like in any store.
enum StorageKeyGrammar {
    static func allows(_ name: Substring) -> Bool { StoreKey(checking: String(name)) != nil }

    /// Whether some key begins with this.
    static func mayBegin(_ prefix: String) -> Bool {
        // What is allowed before a further letter is: `a/` and `a` are, `//`, `./a` and `/` are not.
        prefix.isEmpty || StoreKey(checking: prefix.utf8.count < 512 ? prefix + "x" : prefix) != nil
    }
}
