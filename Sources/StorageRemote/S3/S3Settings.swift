import RepoBase
import Storage

/// Where requests go and how they are signed: a location with what the environment and a profile add to it.
struct S3Settings: Sendable {
    let bucket: String
    let prefix: String
    /// Scheme and host, the bucket's own where that is how it is addressed.
    let origin: String
    /// What the `Host` header says.
    let host: String
    /// `/` or `/bucket/`.
    let root: String
    let region: String
    let certificates: String?
    let storageClass: String?
    let lock: ObjectLock?
    let isAmazon: Bool

    var usesTLS: Bool { origin.hasPrefix("https:") }

    /// Throws `.usage`.
    init(_ location: S3Location, _ variable: @escaping StoreEnvironment) throws(RepoError) {
        let profile = ProfileCredentials(profile: location.profile, variable: variable)
        bucket = location.bucket
        prefix = location.prefix
        storageClass = location.storageClass
        lock = location.lock
        region = location.region ?? variable("AWS_REGION") ?? variable("AWS_DEFAULT_REGION") ?? profile.setting("region") ?? "us-east-1"
        guard !region.isEmpty, region.utf8.allSatisfy({ Self.isHostByte($0) }) else {
            throw RepoError(.usage, "'\(region)' is no region of S3", advice: "Write it as eu-central-1.")
        }
        certificates = location.certificates ?? variable("AWS_CA_BUNDLE") ?? profile.setting("ca_bundle")
        let custom = try (location.endpoint ?? variable("AWS_ENDPOINT_URL_S3") ?? variable("AWS_ENDPOINT_URL") ?? profile.setting("endpoint_url"))
            .map { text throws(RepoError) in try LocationText.checkedEndpoint(text, S3Location.kind) }
        isAmazon = custom == nil
        let endpoint = custom ?? "https://s3.\(region).amazonaws.com\(region.hasPrefix("cn-") ? ".cn" : "")"
        // A bucket with a dot has no certificate of its own; other providers may have no such names at all.
        let isVirtual = location.addressing.map { $0 == .virtual } ?? (isAmazon && bucket.utf8.allSatisfy(Self.isHostByte))
        guard !isVirtual || bucket.utf8.allSatisfy({ Self.isHostByte($0) || $0 == UInt8(ascii: ".") }) else {
            throw RepoError(.usage, "the bucket '\(bucket)' cannot be part of a host's name", advice: "Use addressing=path.")
        }
        let parts = endpoint.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        let host = LocationText.host(of: endpoint)
        self.host = isVirtual ? "\(bucket).\(host)" : host
        origin = "\(parts[0])//\(self.host)"
        root = isVirtual ? "/" : "/\(bucket)/"
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || byte == UInt8(ascii: "-")
    }
}
