public import RepoBase
import Storage

/// Where a repository is in S3, as people write it: `s3://bucket/prefix`, or `s3:https://host:port/bucket/prefix` for another provider.
///
/// Options follow behind a question mark, joined by `&`: `endpoint=URL`, `region=NAME`, `addressing=path` or `virtual`, `profile=NAME`,
/// `ca-file=PATH`, `storage-class=NAME`. There are no secrets in it.
public struct S3Location: Hashable, Sendable, CustomStringConvertible {
    public enum Addressing: String, Hashable, Sendable {
        /// `https://host/bucket/key`
        case path
        /// `https://bucket.host/key`
        case virtual
    }

    public let bucket: String
    /// In the bucket; empty, or with a slash at its end.
    public let prefix: String
    /// `https://host` or with a port; nil: the environment's, the profile's, or Amazon's.
    public private(set) var endpoint: String?
    public private(set) var region: String?
    public private(set) var addressing: Addressing?
    public private(set) var profile: String?
    /// A file of certificates (PEM) to trust instead of the system's.
    public private(set) var certificates: String?
    /// For packs; nil: the bucket's own.
    public private(set) var storageClass: String?

    private static let options = ["endpoint", "region", "addressing", "profile", "ca-file", "storage-class"]

    /// For messages: without options.
    public var description: String {
        let place = prefix.isEmpty ? bucket : "\(bucket)/\(prefix.dropLast())"
        return endpoint.map { "s3:\($0)/\(place)" } ?? "s3://\(place)"
    }

    /// - Parameter text: what stands behind `s3:`.
    ///
    /// Throws `.usage`. Messages do not quote what may hold a secret.
    public init(parsing text: String) throws(RepoError) {
        let halves = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var place = halves[0]
        if let scheme = ["https://", "http://"].first(where: { place.hasPrefix($0) }) {
            let rest = place.dropFirst(scheme.count)
            guard let slash = rest.firstIndex(of: "/") else {
                throw Self.wrong("no bucket", "Write s3:\(scheme)HOST/BUCKET/PREFIX.")
            }
            endpoint = try Self.checkedEndpoint(scheme + rest[..<slash])
            place = rest[rest.index(after: slash)...]
        } else if place.hasPrefix("//") {
            place = place.dropFirst(2)
        } else {
            throw Self.wrong("neither '//' nor an address behind 's3:'", "Write s3://BUCKET/PREFIX, or s3:https://HOST/BUCKET/PREFIX.")
        }
        guard !place.contains("@") else {
            throw Self.wrong("an '@', and credentials do not belong into a location", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.")
        }
        let parts = place.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        bucket = String(parts[0])
        guard Self.isBucket(bucket) else {
            throw Self.wrong("no bucket's name: '\(bucket)'", "Names have 3 to 63 characters of a-z, 0-9, '.', '_' and '-'.")
        }
        var folder = parts.count > 1 ? parts[1] : ""
        while folder.hasSuffix("/") { folder.removeLast() }
        guard folder.isEmpty || StorageKeyGrammar.allows(folder) else {
            throw Self.wrong(
                "the prefix '\(folder)'", "Its parts have characters of a-z, A-Z, 0-9, '.', '_' and '-', and do not begin with a dot.")
        }
        prefix = folder.isEmpty ? "" : folder + "/"
        if halves.count > 1 { try readOptions(halves[1]) }
    }

    private mutating func readOptions(_ text: Substring) throws(RepoError) {
        for option in text.split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let value = URLText.decoded(pair[1]), !value.isEmpty, !value.utf8.contains(where: { $0 < 32 }) else {
                throw Self.wrong("an option without a value: '\(pair[0])'", "Write NAME=VALUE, joined by '&'.")
            }
            switch pair[0] {
            case "endpoint":
                guard endpoint == nil else { throw Self.wrong("two endpoints", "Leave one out.") }
                endpoint = try Self.checkedEndpoint(value)
            case "region": region = value
            case "profile": profile = value
            case "ca-file": certificates = value
            case "storage-class": storageClass = value
            case "addressing":
                guard let known = Addressing(rawValue: value) else {
                    throw Self.wrong("the unknown addressing '\(value)'", "It is 'path' or 'virtual'.")
                }
                addressing = known
            default:
                throw Self.wrong("the unknown option '\(pair[0])'", "Options are \(Self.options.joined(separator: ", ")).")
            }
        }
    }

    /// A scheme, a host and perhaps a port, nothing else.
    static func checkedEndpoint(_ text: String) throws(RepoError) -> String {
        var text = text
        if text.hasSuffix("/") { text.removeLast() }
        guard !text.contains("@") else {
            throw wrong("an '@' in the endpoint, and credentials do not belong there", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.")
        }
        let scheme = ["https://", "http://"].first { text.hasPrefix($0) }
        guard let scheme, case let host = text.dropFirst(scheme.count), !host.isEmpty,
            host.utf8.allSatisfy({ $0 > 32 && $0 < 127 }), !host.contains(where: { "/?#\\\"'<>".contains($0) })
        else { throw wrong("the endpoint '\(text)'", "It is https://HOST or https://HOST:PORT, without a path.") }
        return text
    }

    private static func isBucket(_ name: String) -> Bool {
        (3...63).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
            } && !name.hasPrefix(".") && !name.contains("..")
    }

    private static func wrong(_ what: String, _ advice: String) -> RepoError {
        RepoError(.usage, "the location in S3 has \(what)", advice: advice)
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

