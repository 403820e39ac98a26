import RepoBase

/// A bearer token (RFC 6750).
struct AccessToken: StoreCredentials {
    let text: String
    var expires: Int64?
}

/// Asks a service for a bearer token (RFC 6749, section 5): of a provider of identities, or of the machine itself.
struct TokenService: Sendable {
    /// For messages: "the token service of Google".
    let name: String
    let client: HTTPClient
    let now: @Sendable () -> Int64

    /// Hosts that may be asked without TLS: this machine, and the addresses that a cloud gives its machines for the purpose.
    private static let plainHosts = ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "metadata.google.internal"]

    /// Whether a secret may be sent there.
    static func isTrusted(_ url: String) -> Bool {
        if url.hasPrefix("https://") { return true }
        return plainHosts.contains { host in
            guard url.hasPrefix("http://\(host)") else { return false }
            let next = url.dropFirst("http://\(host)".count).first
            return next == nil || next == ":" || next == "/"
        }
    }

    /// By POST of a form.
    func token(_ url: String, form: [(String, String)], advice: String) throws(RepoError) -> AccessToken {
        guard Self.isTrusted(url) else {
            throw RepoError(.usage, "\(name) is named without TLS", advice: "Its address has to begin with https://.")
        }
        let body = Array(form.map { "\(URLText.encoded($0.0))=\(URLText.encoded($0.1))" }.joined(separator: "&").utf8)
        let answer = body.withUnsafeBytes { body in
            Result { () throws(HTTPFailure) in
                var request = HTTPRequest(.post, url)
                request.headers = [HTTPHeader("Content-Type", "application/x-www-form-urlencoded")]
                request.body = body
                request.limits.total = .seconds(60)
                return try client.send(request, to: .memory(atMost: 64 << 10))
            }
        }
        switch answer {
        case .success(let response): return try token(response, advice)
        case .failure(let failure): throw unanswered(failure)
        }
    }

    /// From a service of the machine. Nil where nobody answers: this is no such machine.
    func machineToken(_ url: String, headers: [HTTPHeader], advice: String, mayBeAbsent: Bool) throws(RepoError) -> AccessToken? {
        guard Self.isTrusted(url) else {
            throw RepoError(.usage, "\(name) is named without TLS", advice: "Its address has to begin with https://.")
        }
        var request = HTTPRequest(.get, url)
        request.limits = .metadata
        request.headers = headers
        let response: HTTPResponse
        do throws(HTTPFailure) {
            response = try client.send(request, to: .memory(atMost: 64 << 10))
        } catch {
            if mayBeAbsent { return nil }
            throw unanswered(error)
        }
        return try token(response, advice)
    }

    private func unanswered(_ failure: HTTPFailure) -> RepoError {
        RepoError(failure.kind == .unreachable ? .unreachable : .failed, "\(name) does not answer: \(failure.message)", advice: "Try again.")
    }

    private func token(_ response: HTTPResponse, _ advice: String) throws(RepoError) -> AccessToken {
        let fields = FlatJSON.scalars(response.body) ?? [:]
        if response.status == 200, let text = fields["access_token"], !text.isEmpty, text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) {
            let lasting = fields["expires_in"].flatMap { Int64($0) }.map { now() + $0 }
            return AccessToken(text: text, expires: lasting ?? fields["expires_on"].flatMap { Int64($0) })
        }
        let said = [fields["error"], fields["error_description"]].compactMap { $0 }.joined(separator: ": ")
        throw RepoError(
            [408, 429].contains(response.status) || response.status >= 500 ? .unreachable : .failed,
            "\(name) answered \(response.status), without a token" + (said.isEmpty ? "" : " (\(RemoteFailure.oneLine(said)))"), advice: advice)
    }
}
