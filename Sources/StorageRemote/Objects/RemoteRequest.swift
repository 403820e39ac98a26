import RepoBase

/// One request to an object store, before it is signed.
struct RemoteRequest {
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

    /// Whether it takes something away.
    var isDeletion: Bool { method == .delete || query.contains { $0.0 == "delete" } }
}

/// What a provider says of a failure: a code and a sentence, in XML or, where an answer has no body, in a header.
///
/// Sources: "Error responses" of the Amazon S3 API reference, "HTTP status and error codes for XML" of Cloud Storage, "Status and error codes" of
/// the Azure Storage REST reference. All three have the same elements.
struct ErrorAnswer {
    let code: String
    let message: String

    init(_ response: HTTPResponse) {
        let root = try? XMLElement(parsing: response.body)
        code = root?["Code"]?.text ?? response["x-ms-error-code"] ?? ""
        message = root?["Message"]?.text ?? ""
    }

    init(_ element: XMLElement) {
        code = element["Code"]?.text ?? ""
        message = element["Message"]?.text ?? ""
    }
}
