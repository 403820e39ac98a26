import RepoBase
public import Storage

/// Classes of storage by what can be done with objects in them.
///
/// Source: "Understanding and managing Amazon S3 storage classes", Amazon S3 user guide. GLACIER_IR is not among them: it is read at once.
enum S3StorageClass {
    /// Whether objects have to be brought back before they can be read.
    static func isArchival(_ name: String) -> Bool { name == "GLACIER" || name == "DEEP_ARCHIVE" }

    /// By the headers of HeadObject (Amazon S3 API reference).
    static func availability(_ response: HTTPResponse) -> Availability {
        guard response["x-amz-storage-class"].map(isArchival) == true || response["x-amz-archive-status"] != nil else { return .ready }
        guard let restore = response["x-amz-restore"] else { return .archived }
        if restore.contains("ongoing-request=\"true\"") { return .thawing }
        // Without a date: one that was brought back within INTELLIGENT_TIERING tells no status any more.
        return restore.contains("ongoing-request=\"false\"") ? .ready : .archived
    }
}

extension ThawRequest.Tier {
    fileprivate var protocolName: String {
        switch self {
        case .expedited: "Expedited"
        case .standard: "Standard"
        case .bulk: "Bulk"
        }
    }
}

extension S3Store {
    public var hasArchive: Bool { true }

    func availability(_ response: HTTPResponse) -> Availability { S3StorageClass.availability(response) }

    public func thaw(_ key: StoreKey, _ request: ThawRequest) throws { try thaw(key, version: [], request) }

    /// RestoreObject (Amazon S3 API reference).
    func thaw(_ key: StoreKey, version: [(String, String)], _ wanted: ThawRequest) throws {
        var document = "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>\(wanted.days)</Days>"
        document += "<GlacierJobParameters><Tier>\(wanted.tier.protocolName)</Tier></GlacierJobParameters></RestoreRequest>"
        let bytes = Array(document.utf8)
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.post, path(key), "bring \(key) back")
            request.query = [("restore", "")] + version
            request.headers = [HTTPHeader("Content-Type", "application/xml"), HTTPHeader("Content-MD5", Digests.base64(Digests.md5(bytes)))]
            request.body = bytes
            request.accepted = [200, 202, 409]
            let response = try connection.send(request, to: .memory(atMost: 64 << 10))
            // 409 is also the answer where others change the object at this moment.
            guard response.status == 409, ErrorAnswer(response).code != "RestoreAlreadyInProgress" else { return }
            throw connection.error(request, response)
        }
    }
}
