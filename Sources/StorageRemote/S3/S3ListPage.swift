import RepoBase

extension ListPage {
    /// The request for a page in the XML of S3, which Cloud Storage has as well.
    /// - Parameter root: before the prefix, of the whole store.
    static func s3Request(
        _ root: String, _ prefix: String, _ delimiter: String?, _ continuation: String?, _ options: RemoteOptions
    ) -> RemoteRequest {
        var request = RemoteRequest(.get, "", "list '\(prefix)'")
        request.query = [("list-type", "2"), ("prefix", root + prefix), ("encoding-type", "url"), ("max-keys", "\(options.pageKeys)")]
        if let delimiter { request.query.append(("delimiter", delimiter)) }
        if let continuation { request.query.append(("continuation-token", continuation)) }
        request.accepted = [200]
        return request
    }

    /// One answer to ListObjectsV2 (Amazon S3 API reference).
    ///
    /// Throws where anything is missing that a whole listing needs: half a listing must not pass for a whole one.
    init(s3 bytes: [UInt8]) throws(RepoError) {
        var page = ListPage()
        try Self.parsing { try page.read(s3: bytes) }
        self = page
    }

    private mutating func read(s3 bytes: [UInt8]) throws {
        var scanner = XMLScanner(bytes)
        var path: [String] = []
        var text = ""
        var object = Object()
        var folder = ""
        var isTruncated: Bool?
        var isEncoded = false
        while let event = try scanner.next() {
            switch event {
            case .start(let name):
                path.append(name)
                text = ""
                if path.count == 1, name != "ListBucketResult" { throw Self.wrong("it is '\(name)'") }
                if path.count == 2 {
                    object = Object()
                    folder = ""
                }
            case .text(let part): text += part
            case .end:
                switch (path.count, path.count > 1 ? path[1] : "", path[path.count - 1]) {
                case (2, "IsTruncated", _): isTruncated = try Self.truth(text)
                case (2, "NextContinuationToken", _): continuation = text
                case (2, "EncodingType", _): isEncoded = text == "url"
                case (3, "Contents", "Key"): object.key = text
                case (3, "Contents", "Size"): object.size = UInt64(text)
                case (3, "Contents", "LastModified"): object.modified = HTTPTime.parse(iso: text)
                case (3, "Contents", "StorageClass"): object.isArchived = S3StorageClass.isArchival(text)
                case (2, "Contents", _): objects.append(object)
                case (3, "CommonPrefixes", "Prefix"): folder = text
                case (2, "CommonPrefixes", _): folders.append(folder)
                default: break
                }
                path.removeLast()
                text = ""
            }
        }
        guard let isTruncated else { throw Self.wrong("it does not say whether it is whole") }
        if !isTruncated { continuation = nil }
        if isTruncated, continuation?.isEmpty ?? true { throw Self.wrong("it is cut off and does not say how to go on") }
        if isEncoded { try decode() }
        if objects.contains(where: { $0.size == nil || $0.modified == nil }) { throw Self.wrong("an object has no size or time") }
    }

    private static func truth(_ text: String) throws -> Bool {
        guard let value = Bool(text) else { throw wrong("it says '\(text)' to whether it is whole") }
        return value
    }

    /// With `encoding-type=url`, names are encoded as forms are.
    private mutating func decode() throws(RepoError) {
        func decoded(_ name: String) throws(RepoError) -> String {
            guard let name = URLText.decoded(name[...], plusIsSpace: true) else { throw Self.wrong("the name '\(name)' is not encoded as told") }
            return name
        }
        for index in objects.indices { objects[index].key = try decoded(objects[index].key) }
        for index in folders.indices { folders[index] = try decoded(folders[index]) }
    }
}
