import RepoBase

/// What a request to S3 is signed with.
struct S3Credentials: StoreCredentials {
    let accessKey: String
    let secretKey: String
    var sessionToken: String?
    var expires: Int64?

    var isTemporary: Bool { expires != nil || sessionToken != nil }
}

typealias S3CredentialCache = CredentialCache<S3Credentials>

extension CredentialCache<S3Credentials> {
    convenience init(_ sources: [any CredentialSource<S3Credentials>], now: @escaping @Sendable () -> Int64) {
        self.init(
            sources, for: "S3",
            advice: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials with AWS_PROFILE.", now: now)
    }
}
