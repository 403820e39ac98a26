/// Signature Version 4 of Amazon Web Services, in the `Authorization` header; Google's is the same with other names.
///
/// Source: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)" of the Amazon S3 API reference, and "Create a
/// signed AWS API request" of the IAM user guide; "Signatures" of the Cloud Storage documentation.
struct RequestSigner {
    let region: String
    let service: String
    var scheme = Scheme.amazon

    /// Names that differ between providers.
    struct Scheme: Sendable {
        let algorithm: String
        let keyPrefix: String
        let terminator: String
        /// Of the headers that are added.
        let headers: String

        static let amazon = Scheme(algorithm: "AWS4-HMAC-SHA256", keyPrefix: "AWS4", terminator: "aws4_request", headers: "x-amz")
        static let google = Scheme(algorithm: "GOOG4-HMAC-SHA256", keyPrefix: "GOOG4", terminator: "goog4_request", headers: "x-goog")
    }

    /// What stands for the hash of a body that TLS and a checksum protect instead.
    static let unsignedPayload = "UNSIGNED-PAYLOAD"
    static let emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    /// Bodies above this are not hashed for the signature where TLS protects them: their checksum is signed.
    private static let hashedBytes = 1 << 20

    static func payload(of body: UnsafeRawBufferPointer, usesTLS: Bool) -> String {
        if body.isEmpty { return emptyPayload }
        return usesTLS && body.count > hashedBytes ? unsignedPayload : Digests.hex(Digests.sha256(body))
    }

    /// The headers to send besides: date, payload hash, session token and signature.
    /// - Parameters:
    ///   - path: encoded once, beginning with a slash.
    ///   - query: names and values, not encoded.
    ///   - headers: all that are to be signed, the host among them.
    ///   - time: seconds since 1970, by the server's clock.
    func headers(
        _ method: String, path: String, query: [(String, String)], headers: [HTTPHeader], payload: String, credentials: S3Credentials,
        time: Int64
    ) -> [HTTPHeader] {
        var added = [HTTPHeader("\(scheme.headers)-date", HTTPTime.compact(time)), HTTPHeader("\(scheme.headers)-content-sha256", payload)]
        if let token = credentials.sessionToken { added.append(HTTPHeader("\(scheme.headers)-security-token", token)) }
        added.append(
            authorization(
                method, path: path, query: query, headers: headers + added, payload: payload, credentials: credentials, time: time))
        return added
    }

    /// The signature over exactly these headers, `x-amz-date` among them.
    func authorization(
        _ method: String, path: String, query: [(String, String)], headers: [HTTPHeader], payload: String, credentials: S3Credentials,
        time: Int64
    ) -> HTTPHeader {
        let sorted = headers.map { ($0.name.lowercased(), Self.trimmed($0.value)) }.sorted { $0.0 < $1.0 }
        let names = sorted.map(\.0).joined(separator: ";")
        let request = [
            method, path, Self.canonicalQuery(query), sorted.map { "\($0.0):\($0.1)\n" }.joined(), names, payload,
        ].joined(separator: "\n")
        let moment = HTTPTime.compact(time)
        let day = String(moment.prefix(8))
        let scope = "\(day)/\(region)/\(service)/\(scheme.terminator)"
        let toSign = [scheme.algorithm, moment, scope, Digests.hex(Digests.sha256(request))].joined(separator: "\n")
        var key = Array("\(scheme.keyPrefix)\(credentials.secretKey)".utf8)
        for part in [day, region, service, scheme.terminator] { key = Digests.hmac(key: key, part) }
        let signature = Digests.hex(Digests.hmac(key: key, toSign))
        return HTTPHeader(
            "Authorization",
            "\(scheme.algorithm) Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(names), Signature=\(signature)")
    }

    /// Encoded, and sorted by the encoded names and values; also how the query is sent.
    static func canonicalQuery(_ query: [(String, String)]) -> String {
        query.map { (URLText.encoded($0.0), URLText.encoded($0.1)) }.sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    /// Without spaces at its ends, and one for several within.
    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }
}
