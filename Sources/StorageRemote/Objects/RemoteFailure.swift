import RepoBase
import Storage

/// A provider's codes, sorted by what can be done, and what to advise.
struct ProviderWords: Sendable {
    /// That may pass by themselves, or tell of damage on the way.
    var passing: Set<String>
    var full: Set<String> = []
    /// Credentials that have expired and can be renewed.
    var expired: Set<String>
    /// Credentials that are wrong.
    var credentials: Set<String>
    /// Deleting or replacing that a policy or a lock forbids.
    var locked: Set<String> = []
    /// Objects that have to be brought back before they can be read.
    var archived: Set<String> = []
    /// The bucket is not there.
    var absentBucket: String
    /// "there is no bucket 'x' at host".
    var absence: String
    var credentialAdvice: String
    var rightsAdvice: String
    var certificateAdvice: String
}

/// Words failures for people, and sorts them by what can be done.
struct RemoteFailure {
    let dialect: any RemoteDialect
    let location: String

    func error(_ request: RemoteRequest, _ failure: HTTPFailure) -> RepoError {
        let message = "cannot \(request.action) in \(location): \(failure.message)"
        switch failure.kind {
        case .unreachable:
            return RepoError(.unreachable, message, advice: "Check the network and the endpoint, then try again; nothing is lost.")
        case .untrusted: return RepoError(.failed, message, advice: dialect.words.certificateAdvice)
        case .tooLarge, .other: return RepoError(.failed, message)
        }
    }

    func error(_ request: RemoteRequest, _ response: HTTPResponse, _ answer: ErrorAnswer) -> RepoError {
        let words = dialect.words
        let said = [answer.code, answer.message].filter { !$0.isEmpty }.joined(separator: ": ")
        let why = "the server answered \(response.status)" + (said.isEmpty ? "" : " (\(Self.oneLine(said)))")
        let message = "cannot \(request.action) in \(location): \(why)"
        if words.full.contains(answer.code) || response.status == 507 {
            return RepoError(.storeFull, message, advice: "Free space there, or raise the quota.")
        }
        if words.locked.contains(answer.code) {
            return RepoError(
                .refused, message,
                advice: "A lock, a legal hold or a retention policy of the store keeps the object; it can go when that ends.")
        }
        if answer.code == words.absentBucket {
            return RepoError(.noRepository, words.absence, advice: "Make it first; 'repo init' makes none.")
        }
        if words.archived.contains(answer.code) {
            return RepoError(
                .archived, message,
                advice: "The object is in an archival tier. 'repo restore --thaw' brings back what a restore needs; see docs/stores.md.")
        }
        if words.passing.contains(answer.code) || [408, 409, 425, 429].contains(response.status) || response.status >= 500 && response.status != 501 {
            return RepoError(.unreachable, message, advice: "Try again later; nothing is lost.")
        }
        if let special = dialect.special(request, response, message) { return special }
        if words.credentials.contains(answer.code) { return RepoError(.failed, message, advice: words.credentialAdvice) }
        if answer.code == "RequestTimeTooSkewed" { return RepoError(.failed, message, advice: "Set this machine's clock.") }
        switch response.status {
        case 301, 302, 307, 308:
            return RepoError(.usage, message, advice: "Redirects are not followed: name the right endpoint or region.")
        case 401, 403:
            // Deleting and overwriting is what credentials are denied on purpose; the rest is a mistake of set-up.
            return RepoError(
                request.isDeletion ? .refused : .failed, message,
                advice: request.isDeletion
                    ? "These credentials may not delete here, or the object is locked; use those that are kept for 'prune'." : words.rightsAdvice)
        case 501:
            return RepoError(.failed, message, advice: "This provider lacks what the repository needs; run 'repo storage probe'.")
        default: return RepoError(.failed, message)
        }
    }

    /// What servers say goes to terminals and logs: printable, and not long.
    static func oneLine(_ text: String) -> String {
        String(text.unicodeScalars.prefix(300).map { $0.value < 32 || $0.value == 127 ? " " : Character($0) })
    }
}
