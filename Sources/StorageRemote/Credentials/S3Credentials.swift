import RepoBase

/// What a request is signed with.
struct S3Credentials: Hashable, Sendable {
    let accessKey: String
    let secretKey: String
    var sessionToken: String?
    /// Seconds since 1970; nil: until they are revoked.
    var expires: Int64?
}

/// Where credentials come from.
protocol S3CredentialSource: Sendable {
    /// What it is, for messages.
    var name: String { get }
    /// Nil where this source is not set up here. Throws where it is, and does not work.
    func load() throws(RepoError) -> S3Credentials?
}

/// The credentials of the first source that has some, asked again before they expire.
final class S3CredentialCache: Sendable {
    private struct State {
        var credentials: S3Credentials?
        var source: (any S3CredentialSource)?
    }

    private let sources: [any S3CredentialSource]
    private let now: @Sendable () -> Int64
    private let state = Monitor(State())

    /// So long before their end credentials are asked for again.
    private static let margin: Int64 = 300

    init(_ sources: [any S3CredentialSource], now: @escaping @Sendable () -> Int64) {
        self.sources = sources
        self.now = now
    }

    /// Asks the sources at most once at a time; other threads wait. Throws `.usage` where there are none.
    func current() throws(RepoError) -> S3Credentials {
        try state.withLock { state throws(RepoError) in
            if let held = state.credentials {
                guard let expires = held.expires, expires - Self.margin <= now() else { return held }
                do throws(RepoError) {
                    if let fresh = try state.source?.load() {
                        state.credentials = fresh
                        return fresh
                    }
                } catch {
                    // What is still valid is used to its end.
                    if expires > now() { return held }
                    throw error
                }
            }
            return try Self.load(sources, &state)
        }
    }

    /// Forgets these credentials, which the store called expired; whether others may be had.
    func discard(_ credentials: S3Credentials) -> Bool {
        state.withLock { state in
            guard state.credentials == credentials else { return true }
            guard credentials.expires != nil || credentials.sessionToken != nil else { return false }
            state.credentials = nil
            return true
        }
    }

    private static func load(_ sources: [any S3CredentialSource], _ state: inout State) throws(RepoError) -> S3Credentials {
        for source in sources {
            guard let found = try source.load() else { continue }
            state = State(credentials: found, source: source)
            return found
        }
        throw RepoError(
            .usage, "there are no credentials for S3 (looked for: \(sources.map(\.name).joined(separator: ", ")))",
            advice: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials with AWS_PROFILE.")
    }
}
