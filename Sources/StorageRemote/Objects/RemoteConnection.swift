import RepoBase

/// How a provider's requests are addressed and signed, and what its refusals mean.
protocol RemoteDialect: Sendable {
    var words: ProviderWords { get }
    /// With URL, headers and signature.
    /// - Parameter time: seconds since 1970, by the server's clock.
    func signed(_ request: RemoteRequest, time: Int64) throws(RepoError) -> SignedRequest
    /// A failure that only this provider has words for; nil for the others.
    func special(_ request: RemoteRequest, _ response: HTTPResponse, _ message: String) -> RepoError?
    /// What a request for a whole object asks for, so that the answer tells a checksum.
    var checksumRequest: [HTTPHeader] { get }
    /// The digest of the whole object that an answer tells, beside the same of what arrived; nil where it tells none.
    func checksums(_ response: HTTPResponse) -> (told: String, found: String)?
}

extension RemoteDialect {
    func special(_ request: RemoteRequest, _ response: HTTPResponse, _ message: String) -> RepoError? { nil }
    var checksumRequest: [HTTPHeader] { [] }
}

struct SignedRequest {
    let url: String
    let headers: [HTTPHeader]
    /// Forgets the credentials that it was signed with, which the store calls expired; whether others may be had.
    let discardCredentials: @Sendable () -> Bool
}

/// Signs requests, sends them, and words what goes wrong.
final class RemoteConnection: Sendable {
    let location: String
    let dialect: any RemoteDialect
    private let client: HTTPClient
    private let now: @Sendable () -> Int64
    /// What to add to this machine's clock to have the server's, in seconds.
    private let clockOffset = Monitor<Int64>(0)
    private let sent = Monitor(0)
    private let unprotected = Monitor(false)

    init(_ dialect: any RemoteDialect, location: String, client: HTTPClient, now: @escaping @Sendable () -> Int64) {
        self.dialect = dialect
        self.location = location
        self.client = client
        self.now = now
    }

    /// Whether requests have gone to another machine without TLS.
    var isUnprotected: Bool { unprotected.withLock { $0 } }

    /// Requests that were sent so far.
    var requestCount: Int { sent.withLock { $0 } }

    /// Returns an accepted answer. Sends again only what the server refused for the time or for credentials that have expired.
    func send(_ request: RemoteRequest, to destination: HTTPDestination) throws(RepoError) -> HTTPResponse {
        var triesLeft = 2
        while true {
            let signed = try dialect.signed(request, time: now() + clockOffset.withLock { $0 })
            let response = try perform(request, signed, destination)
            if request.accepted.contains(response.status) { return response }
            if triesLeft > 0, [400, 401, 403].contains(response.status) {
                triesLeft -= 1
                if correctClock(response) { continue }
                if dialect.words.expired.contains(ErrorAnswer(response).code), signed.discardCredentials() { continue }
            }
            throw error(request, response)
        }
    }

    /// For an answer that the caller accepted and finds to be a failure.
    func error(_ request: RemoteRequest, _ response: HTTPResponse, _ answer: ErrorAnswer? = nil) -> RepoError {
        RemoteFailure(dialect: dialect, location: location).error(request, response, answer ?? ErrorAnswer(response))
    }

    private func perform(
        _ request: RemoteRequest, _ signed: SignedRequest, _ destination: HTTPDestination
    ) throws(RepoError) -> HTTPResponse {
        var outgoing = HTTPRequest(request.method, signed.url)
        outgoing.headers = signed.headers
        outgoing.body = request.body
        outgoing.limits = request.limits
        outgoing.needsFreshConnection = request.needsFreshConnection
        sent.withLock { $0 += 1 }
        if Self.isUnprotected(signed.url) { unprotected.withLock { $0 = true } }
        do throws(HTTPFailure) {
            return try client.send(outgoing, to: destination)
        } catch {
            if request.acceptsPart, error.kind == .unreachable, error.partial.received > 0 {
                var part = error.partial
                part.wasCut = true
                return part
            }
            if request.mayBeTooLarge, error.kind == .tooLarge, error.partial.isSuccess {
                var part = error.partial
                part.isLonger = true
                return part
            }
            throw RemoteFailure(dialect: dialect, location: location).error(request, error)
        }
    }

    private static func isUnprotected(_ url: String) -> Bool {
        guard url.hasPrefix("http://") else { return false }
        let host = url.dropFirst("http://".count)
        return !["127.", "localhost:", "localhost/", "[::1]"].contains { host.hasPrefix($0) }
    }

    /// Takes over the server's clock where it is five minutes off, which is more than signatures may be old. Whether that changed anything.
    private func correctClock(_ response: HTTPResponse) -> Bool {
        guard let date = response["date"].flatMap({ HTTPTime.parse(http: $0) }) else { return false }
        let offset = date - now()
        return clockOffset.withLock { known in
            guard abs(offset - known) > 300 else { return false }
            known = offset
            return true
        }
    }
}
