import RepoBase

/// What a request to Cloud Storage is authorised by.
enum GoogleCredentials: StoreCredentials {
    case token(AccessToken)
    /// A key of a service account for signatures ("HMAC keys").
    case key(S3Credentials)

    var expires: Int64? {
        switch self {
        case .token(let token): token.expires
        case .key: nil
        }
    }
}

/// `GS_ACCESS_KEY_ID` and `GS_SECRET_ACCESS_KEY`, named as in gsutil's configuration.
struct GoogleKeyCredentials: CredentialSource {
    let variable: StoreEnvironment

    var name: String { "GS_ACCESS_KEY_ID" }

    func load() throws(RepoError) -> GoogleCredentials? {
        switch (variable("GS_ACCESS_KEY_ID"), variable("GS_SECRET_ACCESS_KEY")) {
        case (let access?, let secret?): return .key(S3Credentials(accessKey: access, secretKey: secret))
        case (nil, nil): return nil
        case (let access, _):
            let missing = access == nil ? "GS_ACCESS_KEY_ID" : "GS_SECRET_ACCESS_KEY"
            throw RepoError(
                .usage, "half of the credentials for Google Cloud Storage is in the environment: \(missing) is not set",
                advice: "Set both, or neither.")
        }
    }
}

/// `GOOGLE_ACCESS_TOKEN`: one that somebody else fetched; it lasts an hour.
struct GoogleTokenCredentials: CredentialSource {
    let variable: StoreEnvironment

    var name: String { "GOOGLE_ACCESS_TOKEN" }

    func load() throws(RepoError) -> GoogleCredentials? {
        guard let text = variable("GOOGLE_ACCESS_TOKEN") else { return nil }
        guard text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw RepoError(.usage, "GOOGLE_ACCESS_TOKEN is no token", advice: "Set it to what 'gcloud auth print-access-token' prints.")
        }
        return .token(AccessToken(text: text))
    }
}

/// The file that `GOOGLE_APPLICATION_CREDENTIALS` names, or that `gcloud auth application-default login` has made: a service account's key, or a
/// person's refresh token.
///
/// Source: "How Application Default Credentials works"; "Using OAuth 2.0 for Server to Server Applications", section "HTTP/REST"; RFC 7523.
struct GoogleFileCredentials: CredentialSource {
    let variable: StoreEnvironment
    let client: HTTPClient
    let now: @Sendable () -> Int64
    /// Whether objects are to be locked, which a token has to be allowed besides ("Objects: patch" of the JSON reference, "Authorization").
    let locks: Bool

    var name: String { "GOOGLE_APPLICATION_CREDENTIALS" }

    /// What the tokens of a service account may be used for.
    static func scope(locks: Bool) -> String { "https://www.googleapis.com/auth/devstorage." + (locks ? "full_control" : "read_write") }
    private static let service = "https://oauth2.googleapis.com/token"

    func load() throws(RepoError) -> GoogleCredentials? {
        let named = variable("GOOGLE_APPLICATION_CREDENTIALS")
        let folder = variable("CLOUDSDK_CONFIG") ?? variable("HOME").map { $0 + "/.config/gcloud" }
        guard let path = named ?? folder.map({ $0 + "/application_default_credentials.json" }) else { return nil }
        guard let text = ProfileFile.read(path) else {
            guard named != nil else { return nil }
            throw RepoError(
                .usage, "the credentials in \(path) cannot be read", advice: "Check the file and GOOGLE_APPLICATION_CREDENTIALS.")
        }
        guard let fields = FlatJSON.strings(Array(text.utf8)) else {
            throw RepoError(.usage, "\(path) holds no credentials of Google", advice: "It has to be the JSON file of a service account's key.")
        }
        let tokens = TokenService(name: "Google's token service", client: client, now: now)
        switch fields["type"] {
        case "service_account":
            guard let email = fields["client_email"], let key = fields["private_key"] else { throw Self.incomplete(path) }
            let service = fields["token_uri"] ?? Self.service
            let assertion = try SignedToken.make(
                claims: [("iss", .text(email)), ("scope", .text(Self.scope(locks: locks))), ("aud", .text(service)), ("exp", .number(now() + 3600)), ("iat", .number(now()))],
                key: key, keyID: fields["private_key_id"], from: path)
            return .token(
                try tokens.token(
                    service, form: [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)],
                    advice: "Check that the key in \(path) still exists, and this machine's clock."))
        case "authorized_user":
            guard let id = fields["client_id"], let secret = fields["client_secret"], let refresh = fields["refresh_token"] else {
                throw Self.incomplete(path)
            }
            return .token(
                try tokens.token(
                    fields["token_uri"] ?? Self.service,
                    form: [("grant_type", "refresh_token"), ("client_id", id), ("client_secret", secret), ("refresh_token", refresh)],
                    advice: "Sign in again: gcloud auth application-default login."))
        case let kind:
            throw RepoError(
                .usage, "\(path) holds credentials of the kind '\(kind ?? "")', which this program does not know",
                advice: "Use a service account's key, or give it a token: GOOGLE_ACCESS_TOKEN=$(gcloud auth print-access-token).")
        }
    }

    private static func incomplete(_ path: String) -> RepoError {
        RepoError(.usage, "the credentials in \(path) are not complete", advice: "Download the key again.")
    }
}

/// The service account of a machine, a container or a function at Google, by its metadata service.
///
/// Source: "Authenticate workloads to Google Cloud APIs using service accounts" of the Compute Engine documentation.
struct GoogleMachineCredentials: CredentialSource {
    let variable: StoreEnvironment
    let client: HTTPClient
    let now: @Sendable () -> Int64

    let name = "the machine's metadata service"

    func load() throws(RepoError) -> GoogleCredentials? {
        guard variable("NO_GCE_CHECK")?.lowercased() != "true" else { return nil }
        let named = variable("GCE_METADATA_HOST")
        let token = try TokenService(name: "the machine's metadata service", client: client, now: now).machineToken(
            "http://\(named ?? "metadata.google.internal")/computeMetadata/v1/instance/service-accounts/default/token",
            headers: [HTTPHeader("Metadata-Flavor", "Google")], advice: "Give the machine a service account.", mayBeAbsent: named == nil)
        return token.map { .token($0) }
    }
}
