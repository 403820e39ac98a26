import RepoBase

/// What proves to a store who asks, for a while or for good.
protocol StoreCredentials: Hashable, Sendable {
    /// Seconds since 1970; nil: until they are revoked.
    var expires: Int64? { get }
    /// Whether their source may give others, even where it does not say when these end.
    var isTemporary: Bool { get }
}

extension StoreCredentials {
    var isTemporary: Bool { expires != nil }
}

/// Where credentials come from.
protocol CredentialSource<Credentials>: Sendable {
    associatedtype Credentials: StoreCredentials
    /// What it is, for messages.
    var name: String { get }
    /// Nil where this source is not set up here. Throws where it is, and does not work.
    func load() throws(RepoError) -> Credentials?
}

/// The credentials of the first source that has some, asked again before they expire.
final class CredentialCache<Credentials: StoreCredentials>: Sendable {
    private struct State {
        var credentials: Credentials?
        var source: (any CredentialSource<Credentials>)?
    }

    private let sources: [any CredentialSource<Credentials>]
    /// "S3", and what to do where there are none.
    private let store: String
    private let advice: String
    private let now: @Sendable () -> Int64
    private let state = Monitor(State())

    /// So long before their end credentials are asked for again.
    private var margin: Int64 { 300 }

    init(_ sources: [any CredentialSource<Credentials>], for store: String, advice: String, now: @escaping @Sendable () -> Int64) {
        self.sources = sources
        self.store = store
        self.advice = advice
        self.now = now
    }

    /// Asks the sources at most once at a time; other threads wait. Throws `.usage` where there are none.
    func current() throws(RepoError) -> Credentials {
        try state.withLock { state throws(RepoError) in
            if let held = state.credentials {
                guard let expires = held.expires, expires - margin <= now() else { return held }
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
            return try load(&state)
        }
    }

    /// Forgets these credentials, which the store called expired; whether others may be had.
    func discard(_ credentials: Credentials) -> Bool {
        state.withLock { state in
            guard state.credentials == credentials else { return true }
            guard credentials.isTemporary else { return false }
            state.credentials = nil
            return true
        }
    }

    private func load(_ state: inout State) throws(RepoError) -> Credentials {
        for source in sources {
            guard let found = try source.load() else { continue }
            state = State(credentials: found, source: source)
            return found
        }
        throw RepoError(
            .usage, "there are no credentials for \(store) (looked for: \(sources.map(\.name).joined(separator: ", ")))", advice: advice)
    }
}
