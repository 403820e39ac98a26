public import RepoBase
public import Storage

/// Where a repository is in Google Cloud Storage: `gs://bucket/prefix`, or `gs:https://host/bucket/prefix` for another endpoint.
///
/// Options: `endpoint=URL`, `ca-file=PATH`, `storage-class=NAME` (for packs), `billing-project=NAME` (for buckets whose requester pays),
/// `lock=MODE:SPAN`, `listings=once` or `twice`. There are no secrets in it.
public struct GoogleLocation: Hashable, Sendable, CustomStringConvertible {
    public let bucket: String
    /// In the bucket; empty, or with a slash at its end.
    public let prefix: String
    public private(set) var endpoint: String?
    /// A file of certificates (PEM) to trust instead of the system's.
    public let certificates: String?
    /// For packs; nil: the bucket's own.
    public let storageClass: String?
    public let billingProject: String?
    /// For what is put.
    public let lock: ObjectLock?
    /// Whether listings are asked for until two agree; nil: where nothing protects them on the way.
    public let listsTwice: Bool?

    static let kind = LocationText.Kind(
        scheme: "gs", name: "Google Cloud Storage", bucket: "bucket", secretsAdvice: "Set GOOGLE_APPLICATION_CREDENTIALS instead.",
        options: ["endpoint", "ca-file", "storage-class", "billing-project", "lock", "listings"])

    /// For messages: without options.
    public var description: String {
        let place = prefix.isEmpty ? bucket : "\(bucket)/\(prefix.dropLast())"
        return endpoint.map { "gs:\($0)/\(place)" } ?? "gs://\(place)"
    }

    /// - Parameter text: what stands behind `gs:`.
    ///
    /// Throws `.usage`. Messages do not quote what may hold a secret.
    public init(parsing text: String) throws(RepoError) {
        let location = try LocationText(parsing: text, Self.kind)
        endpoint = try location.namedEndpoint()
        guard LocationText.isBucket(location.parts[0], 3...222) else {
            throw location.wrong("no bucket's name: '\(location.parts[0])'", "Names have 3 to 63 characters of a-z, 0-9, '.', '_' and '-'.")
        }
        bucket = String(location.parts[0])
        prefix = try LocationText.prefix(location.parts[1...], Self.kind)
        certificates = location.options["ca-file"]
        storageClass = location.options["storage-class"]
        billingProject = location.options["billing-project"]
        lock = try location.lock()
        listsTwice = try location.listsTwice()
    }
}
