import RepoBase
import Storage

/// Requests to the XML interface of Cloud Storage: bearer tokens, or signatures by keys of a service account.
struct GoogleDialect: RemoteDialect {
    let location: GoogleLocation
    let origin: String
    let host: String
    private let credentials: CredentialCache<GoogleCredentials>
    /// Of a region nothing needs to be known: "auto" stands for it ("V4 signing process", credential scope).
    private let signer = RequestSigner(region: "auto", service: "storage", scheme: .google)

    init(_ location: GoogleLocation, _ credentials: CredentialCache<GoogleCredentials>) {
        self.location = location
        let endpoint = location.endpoint ?? "https://storage.googleapis.com"
        host = LocationText.host(of: endpoint)
        origin = endpoint.prefix { $0 != ":" } + "://" + host
        self.credentials = credentials
    }

    /// `x-goog-hash` (reference of the XML interface).
    func checksums(_ response: HTTPResponse) -> (told: String, found: String)? {
        GoogleStore.checksum(response).map { ($0, response.body.withUnsafeBytes(Digests.crc32c)) }
    }

    func signed(_ request: RemoteRequest, time: Int64) throws(RepoError) -> SignedRequest {
        let used = try credentials.current()
        let path = "/\(location.bucket)" + (request.key.isEmpty ? "" : "/" + URLText.encoded(request.key, keepingSlashes: true))
        let query = RequestSigner.canonicalQuery(request.query)
        var headers = request.headers
        if let project = location.billingProject { headers.append(HTTPHeader("x-goog-user-project", project)) }
        switch used {
        case .token(let token): headers.append(HTTPHeader("Authorization", "Bearer \(token.text)"))
        case .key(let key):
            headers += signer.headers(
                request.method.rawValue, path: path, query: request.query, headers: headers + [HTTPHeader("host", host)],
                payload: RequestSigner.payload(of: request.body, usesTLS: origin.hasPrefix("https:")), credentials: key, time: time)
        }
        return SignedRequest(
            url: origin + path + (query.isEmpty ? "" : "?" + query), headers: headers,
            discardCredentials: { [credentials] in credentials.discard(used) })
    }

    /// Source: "HTTP status and error codes for XML" of the Cloud Storage documentation.
    var words: ProviderWords {
        ProviderWords(
            passing: ["InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"],
            expired: ["AuthenticationRequired", "ExpiredToken", "InvalidAuthentication"],
            credentials: [
                "AuthenticationRequired", "InvalidAuthentication", "InvalidSecurity", "SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken",
                "MissingSecurityHeader",
            ],
            locked: ["RetentionPolicyNotMet", "ObjectUnderActiveHold", "ObjectLocked"],
            absentBucket: "NoSuchBucket",
            absence: "there is no bucket '\(location.bucket)' at \(host)",
            credentialAdvice: "Check GOOGLE_APPLICATION_CREDENTIALS, or GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY.",
            rightsAdvice: "Give the service account the role 'Storage Object User' on this bucket; see docs/stores.md.",
            certificateAdvice: "If the endpoint has a certificate of its own, name its authority: ?ca-file=FILE.")
    }

    func special(_ request: RemoteRequest, _ response: HTTPResponse, _ message: String) -> RepoError? {
        let said = ErrorAnswer(response).message
        // Objects under a hold or a retention policy answer as forbidden ones do.
        guard response.status == 403, said.contains("retention") || said.contains("hold") else { return nil }
        return RepoError(
            .refused, message, advice: "A hold or the bucket's retention policy keeps the object; it can go when that ends.")
    }
}
