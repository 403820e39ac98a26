import RepoBase

/// One answer to ListObjectVersions (Amazon S3 API reference).
struct S3VersionPage: Equatable {
    struct Version: Equatable {
        /// In the bucket, with the prefix.
        var key = ""
        /// `null` for what was put before the bucket kept versions.
        var id = ""
        /// The object was deleted with this one.
        var isDeletion = false
        var size: UInt64?
        var modified: Int64?
        var isArchived = false
    }

    /// Where the next page begins.
    struct Place: Equatable {
        let key: String
        let version: String
    }

    /// In the server's order: by key, of each key the newest first.
    private(set) var versions: [Version] = []
    /// Common prefixes, with the delimiter at their ends.
    private(set) var folders: [String] = []
    /// Nil at the end.
    private(set) var next: Place?

    /// - Parameters:
    ///   - prefix: of the whole store and of the keys.
    ///   - place: nil for the first page; one without a version is behind all of its key's.
    static func request(_ prefix: String, _ delimiter: String?, _ place: Place?, _ options: RemoteOptions) -> RemoteRequest {
        var request = RemoteRequest(.get, "", "list versions below '\(prefix)'")
        request.query = [("versions", ""), ("prefix", prefix), ("encoding-type", "url"), ("max-keys", "\(options.pageKeys)")]
        if let delimiter { request.query.append(("delimiter", delimiter)) }
        if let place {
            request.query.append(("key-marker", place.key))
            if !place.version.isEmpty { request.query.append(("version-id-marker", place.version)) }
        }
        request.accepted = [200]
        return request
    }

    /// Throws where anything is missing that a whole listing needs.
    init(_ bytes: [UInt8]) throws(RepoError) {
        let root: XMLElement
        do {
            root = try XMLElement(parsing: bytes)
        } catch {
            throw RepoError(.unreachable, "the listing does not parse: \(error.why), at byte \(error.offset)", advice: "Try again.")
        }
        guard root.name == "ListVersionsResult", let isTruncated = root["IsTruncated"]?.text else {
            throw ListPage.wrong("it is '\(root.name)'")
        }
        let isEncoded = root["EncodingType"]?.text == "url"
        func decoded(_ name: String?) throws(RepoError) -> String {
            guard let name, let text = isEncoded ? URLText.decoded(name[...], plusIsSpace: true) : name else {
                throw ListPage.wrong("a name is missing, or not encoded as told")
            }
            return text
        }
        for element in root.children {
            switch element.name {
            case "Version", "DeleteMarker":
                var version = Version()
                version.key = try decoded(element["Key"]?.text)
                version.id = element["VersionId"]?.text ?? ""
                version.isDeletion = element.name == "DeleteMarker"
                version.size = element["Size"].flatMap { UInt64($0.text) }
                version.modified = element["LastModified"].flatMap { HTTPTime.parse(iso: $0.text) }
                version.isArchived = element["StorageClass"].map { S3StorageClass.isArchival($0.text) } ?? false
                guard !version.id.isEmpty, version.modified != nil, version.isDeletion || version.size != nil else {
                    throw ListPage.wrong("a version has no id, size or time")
                }
                versions.append(version)
            case "CommonPrefixes": folders.append(try decoded(element["Prefix"]?.text))
            default: continue
            }
        }
        guard isTruncated == "true" else { return }
        let key = try decoded(root["NextKeyMarker"]?.text)
        guard !key.isEmpty else { throw ListPage.wrong("it is cut off and does not say how to go on") }
        next = Place(key: key, version: root["NextVersionIdMarker"]?.text ?? "")
    }
}
