import RepoBase
import Storage

/// One answer to ListObjectsV2 (Amazon S3 API reference).
struct S3ListPage: Equatable {
    struct Object: Equatable {
        /// In the bucket, with the prefix.
        var key = ""
        var size: UInt64?
        var modified: Int64?
    }

    private(set) var objects: [Object] = []
    /// Common prefixes, with the delimiter at their ends.
    private(set) var folders: [String] = []
    /// Nil at the end.
    private(set) var continuation: String?

    /// Throws where anything is missing that a whole listing needs: half a listing must not pass for a whole one.
    init(parsing bytes: [UInt8]) throws(RepoError) {
        do {
            try read(bytes)
        } catch let malformed as XMLScanner.Malformed {
            throw RepoError(.unreachable, "the listing does not parse: \(malformed.why), at byte \(malformed.offset)", advice: "Try again.")
        } catch let error as RepoError {
            throw error
        } catch {
            throw RepoError(.failed, "\(error)")
        }
    }

    private mutating func read(_ bytes: [UInt8]) throws {
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
                case (2, "IsTruncated", _): isTruncated = text == "true"
                case (2, "NextContinuationToken", _): continuation = text
                case (2, "EncodingType", _): isEncoded = text == "url"
                case (3, "Contents", "Key"): object.key = text
                case (3, "Contents", "Size"): object.size = UInt64(text)
                case (3, "Contents", "LastModified"): object.modified = HTTPTime.parse(iso: text)
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

    /// With `encoding-type=url`, names are encoded as forms are.
    private mutating func decode() throws(RepoError) {
        func decoded(_ name: String) throws(RepoError) -> String {
            guard let name = URLText.decoded(name[...], plusIsSpace: true) else { throw Self.wrong("the name '\(name)' is not encoded as told") }
            return name
        }
        for index in objects.indices { objects[index].key = try decoded(objects[index].key) }
        for index in folders.indices { folders[index] = try decoded(folders[index]) }
    }

    private static func wrong(_ why: String) -> RepoError {
        RepoError(.failed, "the server's listing cannot be used: \(why)", advice: "Run 'repo storage probe' on this store.")
    }
}
