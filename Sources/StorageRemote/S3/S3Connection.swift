import Glibc
import RepoBase
import Storage

/// One request to S3, before it is signed.
struct S3Request {
    let method: HTTPRequest.Method
    /// In the bucket, with the prefix; empty for the bucket itself.
    let key: String
    var query: [(String, String)] = []
    var headers: [HTTPHeader] = []
    /// Alive while the request runs.
    var body = UnsafeRawBufferPointer(start: nil, count: 0)
    var limits = HTTPLimits.standard
    var needsFreshConnection = false
    /// What is being done, for messages: "store packs/ab/cd".
    let action: String
    /// Statuses that are answers and not failures.
    var accepted: [Int] = [200, 204]
    /// Whether an answer that broke off is returned as far as it came.
    var acceptsPart = false
    /// Whether an answer that is longer than allowed is returned without its body.
    var mayBeTooLarge = false

    init(_ method: HTTPRequest.Method, _ key: String, _ action: String) {
        self.method = method
        self.key = key
        self.action = action
    }
}

/// Signs requests, sends them, and words what goes wrong.
final class S3Connection: Sendable {
    let settings: S3Settings
    let location: String
    private let client: HTTPClient
    private let credentials: S3CredentialCache
    private let signer: RequestSigner
    private let now: @Sendable () -> Int64
    /// What to add to this machine's clock to have the server's, in seconds.
    private let clockOffset = Monitor<Int64>(0)
    private let sent = Monitor(0)

    /// Bodies above this are not hashed for the signature where TLS protects them: their checksum is signed.
    private static let hashedBytes = 1 << 20

    init(
        _ settings: S3Settings, location: String, client: HTTPClient, credentials: S3CredentialCache, now: @escaping @Sendable () -> Int64
    ) {
        self.settings = settings
        self.location = location
        self.client = client
        self.credentials = credentials
        signer = RequestSigner(region: settings.region, service: "s3")
        self.now = now
    }

    /// Requests that were sent so far.
    var requestCount: Int { sent.withLock { $0 } }

    /// Returns an accepted answer. Sends again only what the server refused for the time or for credentials that have expired.
    func send(_ request: S3Request, to destination: HTTPDestination) throws(RepoError) -> HTTPResponse {
        var triesLeft = 2
        while true {
            let used = try credentials.current()
            let response = try perform(request, used, destination)
            if request.accepted.contains(response.status) { return response }
            let answer = S3ErrorAnswer(response)
            if triesLeft > 0, [400, 401, 403].contains(response.status) {
                triesLeft -= 1
                if correctClock(response) { continue }
                if ["ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"].contains(answer.code), credentials.discard(used) {
                    continue
                }
            }
            throw S3Failure(settings: settings, location: location).error(request, response, answer)
        }
    }

    private func perform(
        _ request: S3Request, _ credentials: S3Credentials, _ destination: HTTPDestination
    ) throws(RepoError) -> HTTPResponse {
        let path = settings.root + URLText.encoded(request.key, keepingSlashes: true)
        let query = RequestSigner.canonicalQuery(request.query)
        var outgoing = HTTPRequest(request.method, settings.origin + path + (query.isEmpty ? "" : "?" + query))
        let payload =
            request.body.isEmpty
            ? RequestSigner.emptyPayload
            : settings.usesTLS && request.body.count > Self.hashedBytes
                ? RequestSigner.unsignedPayload : Digests.hex(Digests.sha256(request.body))
        let time = now() + clockOffset.withLock { $0 }
        outgoing.headers =
            request.headers
            + signer.headers(
                request.method.rawValue, path: path, query: request.query, headers: request.headers + [HTTPHeader("host", settings.host)],
                payload: payload, credentials: credentials, time: time)
        outgoing.body = request.body
        outgoing.limits = request.limits
        outgoing.needsFreshConnection = request.needsFreshConnection
        sent.withLock { $0 += 1 }
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
            throw S3Failure(settings: settings, location: location).error(request, error)
        }
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
