/// Shared Key authorisation of Azure Storage, for the Blob service from version 2015-02-21 on.
///
/// Source: "Authorize with Shared Key" of the Azure Storage REST reference.
struct SharedKeySigner {
    let account: String
    let key: [UInt8]

    /// Headers that stand in the text to sign by their place, in this order.
    private static let standard = [
        "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since", "if-match",
        "if-none-match", "if-unmodified-since", "range",
    ]

    /// - Parameters:
    ///   - path: of the URI, encoded as it is sent.
    ///   - query: names and values, not encoded.
    ///   - headers: all that are sent, `x-ms-date` and `x-ms-version` among them.
    ///   - length: of the body in bytes.
    func authorization(_ method: String, path: String, query: [(String, String)], headers: [HTTPHeader], length: Int) -> HTTPHeader {
        let text = textToSign(method, path: path, query: query, headers: headers, length: length)
        return HTTPHeader("Authorization", "SharedKey \(account):\(Digests.base64(Digests.hmac(key: key, text)))")
    }

    func textToSign(_ method: String, path: String, query: [(String, String)], headers: [HTTPHeader], length: Int) -> String {
        var values = Dictionary(headers.map { ($0.name.lowercased(), $0.value) }) { $1 }
        values["content-length"] = length > 0 ? "\(length)" : ""
        let own = values.filter { $0.key.hasPrefix("x-ms-") }.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)\n" }.joined()
        let parameters = Dictionary(grouping: query) { $0.0.lowercased() }.sorted { $0.key < $1.key }
            .map { "\n\($0.key):\($0.value.map(\.1).sorted().joined(separator: ","))" }.joined()
        return ([method] + Self.standard.map { values[$0] ?? "" }).joined(separator: "\n") + "\n" + own + "/\(account)\(path)" + parameters
    }
}
