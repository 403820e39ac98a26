import RepoBase
import Storage

/// What S3 says of a failure: a code and a sentence, in XML.
///
/// Source: "Error responses" of the Amazon S3 API reference.
struct S3ErrorAnswer {
    let code: String
    let message: String

    init(_ response: HTTPResponse) {
        let root = try? XMLElement(parsing: response.body)
        code = root?["Code"]?.text ?? ""
        message = root?["Message"]?.text ?? ""
    }

    init(_ element: XMLElement) {
        code = element["Code"]?.text ?? ""
        message = element["Message"]?.text ?? ""
    }
}

/// Words failures for people, and sorts them by what can be done.
struct S3Failure {
    let settings: S3Settings
    let location: String

    /// Codes that may pass by themselves.
    private static let passing = [
        "RequestTimeout", "SlowDown", "ServiceUnavailable", "InternalError", "RequestLimitExceeded", "Throttling", "ThrottlingException",
        "TooManyRequests", "OperationAborted", "ConditionalRequestConflict", "Busy",
        // Damaged on the way.
        "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
    ]
    private static let full = ["QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "EntityTooLargeForQuota", "InsufficientCapacity"]

    func error(_ request: S3Request, _ failure: HTTPFailure) -> RepoError {
        let message = "cannot \(request.action) in \(location): \(failure.message)"
        switch failure.kind {
        case .unreachable:
            return RepoError(.unreachable, message, advice: "Check the network and the endpoint, then try again; nothing is lost.")
        case .untrusted:
            return RepoError(
                .failed, message, advice: "If the endpoint has a certificate of its own, name its authority: ?ca-file=FILE or AWS_CA_BUNDLE.")
        case .tooLarge, .other: return RepoError(.failed, message)
        }
    }

    func error(_ request: S3Request, _ response: HTTPResponse, _ answer: S3ErrorAnswer) -> RepoError {
        let said = [answer.code, answer.message].filter { !$0.isEmpty }.joined(separator: ": ")
        let why = "the server answered \(response.status)" + (said.isEmpty ? "" : " (\(Self.oneLine(said)))")
        let message = "cannot \(request.action) in \(location): \(why)"
        if Self.full.contains(answer.code) || response.status == 507 {
            return RepoError(.storeFull, message, advice: "Free space there, or raise the quota.")
        }
        if Self.passing.contains(answer.code) || [408, 409, 425, 429].contains(response.status) || response.status >= 500 && response.status != 501 {
            return RepoError(.unreachable, message, advice: "Try again later; nothing is lost.")
        }
        if let region = response["x-amz-bucket-region"], region != settings.region {
            return RepoError(.usage, message, advice: "The bucket is in the region \(region): add ?region=\(region), or set AWS_REGION.")
        }
        switch answer.code {
        case "NoSuchBucket":
            return RepoError(
                .noRepository, "there is no bucket '\(settings.bucket)' at \(settings.host)", advice: "Make it first; 'repo init' makes none.")
        case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidSecurity":
            return RepoError(
                .failed, message, advice: "Check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that AWS_PROFILE names.")
        case "RequestTimeTooSkewed": return RepoError(.failed, message, advice: "Set this machine's clock.")
        case "InvalidObjectState":
            return RepoError(
                .failed, message, advice: "The object is in an archival tier: restore it there first, and keep lifecycle rules off this prefix.")
        default: break
        }
        switch response.status {
        case 301, 302, 307, 308:
            return RepoError(.usage, message, advice: "Redirects are not followed: name the right endpoint or region.")
        case 401, 403:
            // Deleting and overwriting is what credentials are denied on purpose; the rest is a mistake of set-up.
            let isDeletion = request.method == .delete || request.query.contains { $0.0 == "delete" }
            return RepoError(
                isDeletion ? .refused : .failed, message,
                advice: isDeletion
                    ? "These credentials may not delete here, or the object is locked; use those that are kept for 'prune'."
                    : "Give the credentials s3:GetObject, s3:PutObject and s3:ListBucket on this bucket; see docs/stores.md.")
        case 501:
            return RepoError(.failed, message, advice: "This provider lacks what the repository needs; run 'repo storage probe'.")
        default: return RepoError(.failed, message)
        }
    }

    /// What servers say goes to terminals and logs: printable, and not long.
    private static func oneLine(_ text: String) -> String {
        String(text.unicodeScalars.prefix(300).map { $0.value < 32 || $0.value == 127 ? " " : Character($0) })
    }
}
