import RepoBase
import Storage

/// What a bucket says of a part of its configuration, in the XML of S3 and of Cloud Storage.
enum BucketConfiguration {
    case document(XMLElement)
    case nothing
    /// These credentials may not see it, or the provider has no such thing.
    case unknown(String)
}

extension RemoteConnection {
    func configuration(_ name: String) throws(RepoError) -> BucketConfiguration {
        var request = RemoteRequest(.get, "", "read the bucket's \(name)")
        request.query = [(name, "")]
        request.accepted = [200, 400, 401, 403, 404, 405, 501]
        let response = try send(request, to: .memory(atMost: 1 << 20))
        if response.status == 404 { return .nothing }
        guard response.status == 200 else { return .unknown(ErrorAnswer(response).code) }
        do {
            return .document(try XMLElement(parsing: response.body))
        } catch {
            return .unknown("the answer does not parse: \(error.why)")
        }
    }

    /// Whether objects of the bucket can be locked.
    func objectLock() throws(RepoError) -> StoreFinding {
        let subject = "object lock"
        switch try configuration("object-lock") {
        case .unknown(let why): return StoreFinding(subject, .unknown, "these credentials may not see it (\(why))")
        case .document(let document) where document["ObjectLockEnabled"]?.text == "Enabled":
            guard let rule = document["Rule"]?["DefaultRetention"], let mode = rule["Mode"]?.text else {
                return StoreFinding(subject, .noted, "possible, without a default")
            }
            let span = rule["Days"].map { "\($0.text) days" } ?? rule["Years"].map { "\($0.text) years" } ?? "some time"
            return StoreFinding(subject, .noted, "every object is locked for \(span) (\(mode.lowercased()))")
        case .document, .nothing: return StoreFinding(subject, .noted, "off")
        }
    }
}
