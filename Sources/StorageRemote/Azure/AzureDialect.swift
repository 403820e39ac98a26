import RepoBase
import Storage

/// Where requests to a container go, and how they are authorised.
struct AzureDialect: RemoteDialect {
    /// Of the REST interface: Microsoft keeps each version for good.
    static let version = "2021-08-06"

    let account: String
    let container: String
    /// Scheme and host.
    let origin: String
    /// `/container` or `/account/container`.
    let root: String
    /// Whether objects are locked as they are put.
    private let locks: Bool
    private let credentials: CredentialCache<AzureCredentials>

    /// Throws `.usage`.
    init(_ location: AzureLocation, _ variable: StoreEnvironment, _ credentials: CredentialCache<AzureCredentials>) throws(RepoError) {
        let connection = try AzureConnectionString.of(variable)
        guard let account = location.account ?? connection?["AccountName"] ?? variable("AZURE_STORAGE_ACCOUNT") else {
            throw RepoError(
                .usage, "it is not said which account the container '\(location.container)' is in",
                advice: "Set AZURE_STORAGE_ACCOUNT, or write azblob:https://ACCOUNT.blob.core.windows.net/\(location.container).")
        }
        try AzureLocation.require(account: account)
        self.account = account
        container = location.container
        let suffix = connection?["EndpointSuffix"] ?? "core.windows.net"
        let implied = "\(connection?["DefaultEndpointsProtocol"] ?? "https")://\(account).blob.\(suffix)"
        let endpoint = try LocationText.checkedEndpoint(location.endpoint ?? implied, AzureLocation.kind)
        origin = endpoint.prefix { $0 != ":" } + "://" + LocationText.host(of: endpoint)
        root = (location.namesAccount ? "/\(account)" : "") + "/\(location.container)"
        locks = location.lock != nil
        self.credentials = credentials
    }

    /// Of blobs that were put by one request, or had their digest set ("Get Blob" of the REST reference).
    func checksums(_ response: HTTPResponse) -> (told: String, found: String)? {
        response["content-md5"].map { ($0, Digests.base64(response.body.withUnsafeBytes(Digests.md5))) }
    }

    func signed(_ request: RemoteRequest, time: Int64) throws(RepoError) -> SignedRequest {
        let used = try credentials.current()
        let path = root + (request.key.isEmpty ? "" : "/" + URLText.encoded(request.key, keepingSlashes: true))
        var query = RequestSigner.canonicalQuery(request.query)
        var headers = request.headers + [HTTPHeader("x-ms-date", HTTPTime.http(time)), HTTPHeader("x-ms-version", Self.version)]
        switch used {
        case .key(let key):
            headers.append(
                SharedKeySigner(account: account, key: key).authorization(
                    request.method.rawValue, path: path, query: request.query, headers: headers, length: request.body.count))
        case .signature(let signature): query += (query.isEmpty ? "" : "&") + signature
        case .token(let token): headers.append(HTTPHeader("Authorization", "Bearer \(token.text)"))
        }
        return SignedRequest(
            url: origin + path + (query.isEmpty ? "" : "?" + query), headers: headers,
            discardCredentials: { [credentials] in credentials.discard(used) })
    }

    /// Source: "Blob service error codes" and "Common REST API error codes" of the Azure Storage REST reference.
    var words: ProviderWords {
        ProviderWords(
            passing: [
                "ServerBusy", "InternalError", "OperationTimedOut", "ContainerBeingDeleted", "Md5Mismatch", "Crc64Mismatch", "AccountBeingCreated",
            ],
            expired: ["InvalidAuthenticationInfo", "AuthenticationFailed"],
            credentials: ["AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"],
            locked: [
                "BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold", "BlobImmutableDueToRetentionPolicy", "SnapshotsPresent", "LeaseIdMissing",
                "ContainerImmutableDueToPolicy", "OperationNotAllowedOnImmutableBlob", "BlobOverwriteNotAllowed",
            ],
            archived: ["BlobArchived", "BlobBeingRehydrated"],
            absentBucket: "ContainerNotFound",
            absence: "there is no container '\(container)' in the account '\(account)'",
            credentialAdvice:
                "Check the account's name, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN (which may have expired), or the application's secret.",
            rightsAdvice: locks
                ? "Locking needs the role 'Storage Blob Data Owner' on this container, or the rights 'x' and 'i' of a signature besides the others; see docs/stores.md."
                : "Give the identity the role 'Storage Blob Data Contributor' on this container, or the signature the rights it lacks; see docs/stores.md.",
            certificateAdvice: "If the endpoint has a certificate of its own, name its authority: ?ca-file=FILE.")
    }

    func special(_ request: RemoteRequest, _ response: HTTPResponse, _ message: String) -> RepoError? {
        guard response.status == 403, ["AuthorizationPermissionMismatch", "AuthorizationFailure"].contains(ErrorAnswer(response).code) else { return nil }
        // What replaces or deletes needs other rights than what creates.
        return request.isDeletion
            ? nil : RepoError(.failed, message, advice: words.rightsAdvice + " The account's firewall may also keep this machine out.")
    }
}
