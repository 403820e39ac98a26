import RepoBase
import Storage

/// Requests to S3: Signature Version 4, and the codes of Amazon and of those that are compatible.
struct S3Dialect: RemoteDialect {
    let settings: S3Settings
    let credentials: S3CredentialCache
    private let signer: RequestSigner

    init(settings: S3Settings, credentials: S3CredentialCache) {
        self.settings = settings
        self.credentials = credentials
        signer = RequestSigner(region: settings.region, service: "s3")
    }

    func signed(_ request: RemoteRequest, time: Int64) throws(RepoError) -> SignedRequest {
        let used = try credentials.current()
        let path = settings.root + URLText.encoded(request.key, keepingSlashes: true)
        let query = RequestSigner.canonicalQuery(request.query)
        let added = signer.headers(
            request.method.rawValue, path: path, query: request.query, headers: request.headers + [HTTPHeader("host", settings.host)],
            payload: RequestSigner.payload(of: request.body, usesTLS: settings.usesTLS), credentials: used, time: time)
        return SignedRequest(
            url: settings.origin + path + (query.isEmpty ? "" : "?" + query), headers: request.headers + added,
            discardCredentials: { [credentials] in credentials.discard(used) })
    }

    var checksumRequest: [HTTPHeader] { [HTTPHeader("x-amz-checksum-mode", "ENABLED")] }

    /// Of an object that was put in parts, Amazon tells a checksum of checksums, with a dash ("Checking object integrity", S3 user guide).
    func checksums(_ response: HTTPResponse) -> (told: String, found: String)? {
        guard let told = response["x-amz-checksum-crc32c"], !told.contains("-") else { return nil }
        return (told, response.body.withUnsafeBytes(Digests.crc32c))
    }

    /// Source: "Error responses" of the Amazon S3 API reference.
    var words: ProviderWords {
        ProviderWords(
            passing: [
                "RequestTimeout", "SlowDown", "ServiceUnavailable", "InternalError", "RequestLimitExceeded", "Throttling", "ThrottlingException",
                "TooManyRequests", "OperationAborted", "ConditionalRequestConflict", "Busy",
                // Damaged on the way.
                "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
            ],
            full: ["QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "EntityTooLargeForQuota", "InsufficientCapacity"],
            expired: ["ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"],
            credentials: ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidSecurity"],
            archived: ["InvalidObjectState"], absentBucket: "NoSuchBucket",
            absence: "there is no bucket '\(settings.bucket)' at \(settings.host)",
            credentialAdvice: "Check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that AWS_PROFILE names.",
            rightsAdvice: "Give the credentials s3:GetObject, s3:PutObject and s3:ListBucket on this bucket; see docs/stores.md.",
            certificateAdvice: "If the endpoint has a certificate of its own, name its authority: ?ca-file=FILE or AWS_CA_BUNDLE.")
    }

    func special(_ request: RemoteRequest, _ response: HTTPResponse, _ message: String) -> RepoError? {
        guard let region = response["x-amz-bucket-region"], region != settings.region else { return nil }
        return RepoError(.usage, message, advice: "The bucket is in the region \(region): add ?region=\(region), or set AWS_REGION.")
    }
}
