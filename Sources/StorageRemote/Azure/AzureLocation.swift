public import RepoBase
public import Storage

/// Where a repository is in Azure Blob Storage: `azblob://container/prefix`, with the account from the environment, or
/// `azblob:https://account.blob.core.windows.net/container/prefix`.
///
/// Options: `account=NAME`, `endpoint=URL`, `ca-file=PATH`, `storage-class=NAME` (an access tier, for packs), `lock=MODE:SPAN`, `listings=once` or `twice`. An endpoint whose host is an address has
/// the account as the first part of its path, as emulators want it. There are no secrets in it.
public struct AzureLocation: Hashable, Sendable, CustomStringConvertible {
    public let container: String
    /// In the container; empty, or with a slash at its end.
    public let prefix: String
    public private(set) var endpoint: String?
    public private(set) var account: String?
    /// Whether requests name the account in their path.
    public private(set) var namesAccount = false
    /// A file of certificates (PEM) to trust instead of the system's.
    public let certificates: String?
    /// For packs; nil: the account's own.
    public let storageClass: String?
    /// For what is put.
    public let lock: ObjectLock?
    /// Whether listings are asked for until two agree; nil: where nothing protects them on the way.
    public let listsTwice: Bool?

    static let kind = LocationText.Kind(
        scheme: "azblob", name: "Azure Blob Storage", bucket: "container",
        secretsAdvice: "Set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN instead.",
        options: ["account", "endpoint", "ca-file", "storage-class", "lock", "listings"])

    /// For messages: without options.
    public var description: String {
        let place = prefix.isEmpty ? container : "\(container)/\(prefix.dropLast())"
        guard let endpoint else { return "azblob://\(place)" }
        return "azblob:\(endpoint)/" + (namesAccount ? "\(account ?? "")/" : "") + place
    }

    /// - Parameter text: what stands behind `azblob:`.
    ///
    /// Throws `.usage`. Messages do not quote what may hold a secret.
    public init(parsing text: String) throws(RepoError) {
        let location = try LocationText(parsing: text, Self.kind)
        var parts = location.parts[...]
        endpoint = try location.namedEndpoint()
        account = location.options["account"]
        if let endpoint {
            let host = LocationText.host(of: endpoint).prefix { $0 != ":" }
            namesAccount = host == "localhost" || host.allSatisfy { $0.isNumber || $0 == "." }
            if namesAccount, location.endpoint != nil { account = parts.popFirst().map(String.init) }
            if !namesAccount { account = account ?? host.split(separator: ".").first.map(String.init) }
        }
        if let account { try Self.require(account: account) }
        guard let name = parts.popFirst(), Self.isContainer(name) else {
            throw location.wrong("no container's name", "Names have 3 to 63 characters of a-z, 0-9 and '-'.")
        }
        container = String(name)
        prefix = try LocationText.prefix(parts, Self.kind)
        certificates = location.options["ca-file"]
        storageClass = location.options["storage-class"]
        lock = try location.lock()
        listsTwice = try location.listsTwice()
        guard storageClass?.lowercased() != "archive" else {
            throw location.wrong("the access tier 'Archive', from which nothing can be read at once", "Use Hot, Cool or Cold.")
        }
    }

    static func require(account: String) throws(RepoError) {
        guard (3...63).contains(account.utf8.count), account.utf8.allSatisfy({ isPlain($0) || $0 == UInt8(ascii: "-") }) else {
            throw LocationText.wrong(kind, "no account's name: '\(account)'", "Names have 3 to 24 characters of a-z and 0-9.")
        }
    }

    private static func isContainer(_ name: Substring) -> Bool {
        (3...63).contains(name.utf8.count) && name.utf8.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") } && !name.hasPrefix("-")
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
