public import RepoBase
public import Storage

/// Where a repository is in S3, as people write it: `s3://bucket/prefix`, or `s3:https://host:port/bucket/prefix` for another provider.
///
/// Options follow behind a question mark, joined by `&`: `endpoint=URL`, `region=NAME`, `addressing=path` or `virtual`, `profile=NAME`,
/// `ca-file=PATH`, `storage-class=NAME`, `lock=MODE:SPAN`, `as-of=TIME`, `listings=once` or `twice`. There are no secrets in it.
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
    /// For what is put.
    public private(set) var lock: ObjectLock?
    /// Whether listings are asked for until two agree; nil: where nothing protects them on the way.
    public private(set) var listsTwice: Bool?
    /// Read as it was then, from the versions that the bucket has kept: seconds since 1970.
    public private(set) var moment: Int64?

    static let kind = LocationText.Kind(
        scheme: "s3", name: "S3", bucket: "bucket", secretsAdvice: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.",
        options: ["endpoint", "region", "addressing", "profile", "ca-file", "storage-class", "lock", "as-of", "listings"])

    /// For messages: without options but the moment.
    public var description: String {
        let place = prefix.isEmpty ? bucket : "\(bucket)/\(prefix.dropLast())"
        let location = endpoint.map { "s3:\($0)/\(place)" } ?? "s3://\(place)"
        return moment.map { "\(location) as of \(HTTPTime.iso($0))" } ?? location
    }

    /// - Parameter text: what stands behind `s3:`.
    ///
    /// Throws `.usage`. Messages do not quote what may hold a secret.
    public init(parsing text: String) throws(RepoError) {
        let location = try LocationText(parsing: text, Self.kind)
        endpoint = try location.namedEndpoint()
        guard LocationText.isBucket(location.parts[0], 3...63) else {
            throw location.wrong("no bucket's name: '\(location.parts[0])'", "Names have 3 to 63 characters of a-z, 0-9, '.', '_' and '-'.")
        }
        bucket = String(location.parts[0])
        prefix = try LocationText.prefix(location.parts[1...], Self.kind)
        region = location.options["region"]
        profile = location.options["profile"]
        certificates = location.options["ca-file"]
        storageClass = location.options["storage-class"]
        lock = try location.lock()
        listsTwice = try location.listsTwice()
        if let text = location.options["as-of"] {
            guard let time = HTTPTime.parse(iso: text) else {
                throw location.wrong("the time '\(text)'", "Write it in UTC, as 2026-11-20T03:00:00Z.")
            }
            guard lock == nil else { throw location.wrong("both lock and as-of", "As of a moment nothing is written: leave lock out.") }
            moment = time
        }
        guard let text = location.options["addressing"] else { return }
        guard let known = Addressing(rawValue: text) else {
            throw location.wrong("the unknown addressing '\(text)'", "It is 'path' or 'virtual'.")
        }
        addressing = known
    }
}
