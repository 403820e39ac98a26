import RepoBase
public import Storage

// Object Retention Lock ("Object Retention Lock", "Set object retention" and "HTTP headers and query string parameters for XML API" of the Cloud Storage
// documentation): an object whose retention has not ended can be neither deleted nor overwritten. In a bucket that keeps versions, deleting it without naming a
// generation, or replacing it, makes it noncurrent, and it stays. The XML interface calls the mode Unlocked GOVERNANCE, and Locked COMPLIANCE. A retention is
// shortened or removed by requests alone that ask for it by a header of their own, which this program never sends.
extension GoogleStore: LockingRemoteStore {
    func lockHeaders(_ mode: ObjectLock.Mode, until: Int64) -> [HTTPHeader] {
        [
            HTTPHeader("x-goog-object-lock-mode", mode.rawValue.uppercased()),
            HTTPHeader("x-goog-object-lock-retain-until-date", HTTPTime.iso(until)),
        ]
    }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? {
        try lockedUntil(key) { response throws(RepoError) in
            guard let text = response["x-goog-object-lock-retain-until-date"] else { return nil }
            guard let until = HTTPTime.parse(iso: text) else {
                throw RepoError(.failed, "cannot see the lock of \(key) in \(location): '\(RemoteFailure.oneLine(text))' is no time", advice: "Run 'repo storage probe'.")
            }
            return until
        }
    }

    public func extendLock(_ key: StoreKey, until: Int64) throws {
        guard let lock else { return }
        try putRetention(
            key, lock, until: until, namespace: "",
            advice: "The credentials need storage.objects.setRetention and storage.objects.update, the bucket object retention; a lock of another mode cannot be "
                + "changed.")
    }

    /// One request for each to learn its generations, and one for each of these to delete it; several objects at once. Without `lock` it deletes as ever: what
    /// becomes of generations that are not current is the bucket's owner's affair.
    public func purge(_ keys: [StoreKey]) throws {
        guard lock != nil else { return try delete(keys) }
        _ = try ParallelWork.map(keys.count, threads: options.listThreads) { index throws(RepoError) in
            try self.deleteGenerations(self.versionNames(of: keys[index]), of: keys[index])
        }
    }

    func versionNames(of key: StoreKey) throws(RepoError) -> [String] {
        let path = path(key)
        var found: [GoogleVersionPage.Version] = []
        var place: GoogleVersionPage.Place?
        while true {
            let page = try GoogleVersionPage(
                connection.send(GoogleVersionPage.request(path, place, options), to: .memory(atMost: 16 << 20)).body)
            found += page.versions.filter { $0.key == path }
            // Keys that begin with this one come behind it.
            guard let next = page.next, page.versions.allSatisfy({ $0.key == path }), next != place else { break }
            place = next
        }
        return found.sorted { $0.generation > $1.generation }.map { String($0.generation) }
    }

    func deleteVersions(_ names: [String], of key: StoreKey) throws { try deleteGenerations(names, of: key) }

    /// A generation that is named goes for good, the live one too ("Delete versioned objects").
    private func deleteGenerations(_ names: [String], of key: StoreKey) throws(RepoError) {
        for name in names {
            var request = RemoteRequest(.delete, path(key), "delete generation \(name) of \(key)")
            request.query = [("generation", name)]
            request.accepted += [404]
            _ = try connection.send(request, to: .memory(atMost: 64 << 10))
        }
    }

    func putLocked(_ key: StoreKey, _ bytes: [UInt8], _ mode: ObjectLock.Mode, until: Int64) throws {
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.put, path(key), "store a locked object")
            request.headers = headers(of: key, Digests.crc32c(bytes), .replace) + lockHeaders(mode, until: until)
            request.body = bytes
            request.accepted = [200]
            _ = try connection.send(request, to: .memory(atMost: 64 << 10))
        }
    }

    var lockAdvice: String { "make the bucket with object retention: gcloud storage buckets create gs://BUCKET --enable-per-object-retention" }

    var versionAdvice: String { "let the bucket keep versions: gcloud storage buckets update gs://BUCKET --versioning" }
}

/// One answer to a listing with the parameter `versions` ("List objects" of the XML interface).
struct GoogleVersionPage: Equatable {
    struct Version: Equatable {
        /// In the bucket, with the prefix.
        let key: String
        /// Larger ones are newer.
        let generation: UInt64
    }

    /// Where the next page begins: behind this generation of this key.
    struct Place: Equatable {
        let key: String
        let generation: String
    }

    private(set) var versions: [Version] = []
    /// Nil at the end.
    private(set) var next: Place?

    static func request(_ prefix: String, _ place: Place?, _ options: RemoteOptions) -> RemoteRequest {
        var request = RemoteRequest(.get, "", "list versions below '\(prefix)'")
        request.query = [("versions", ""), ("prefix", prefix), ("max-keys", "\(options.pageKeys)")]
        if let place { request.query += [("marker", place.key), ("generation-marker", place.generation)] }
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
        guard root.name == "ListBucketResult", let isTruncated = root["IsTruncated"]?.text else { throw ListPage.wrong("it is '\(root.name)'") }
        for element in root.all("Version") {
            guard let key = element["Key"]?.text, let generation = (element["Generation"]?.text).flatMap({ UInt64($0) }) else {
                throw ListPage.wrong("a version has no name or no generation")
            }
            versions.append(Version(key: key, generation: generation))
        }
        guard isTruncated == "true" else { return }
        guard let key = root["NextMarker"]?.text, let generation = root["NextGenerationMarker"]?.text, !key.isEmpty, !generation.isEmpty else {
            throw ListPage.wrong("it is cut off and does not say how to go on")
        }
        next = Place(key: key, generation: generation)
    }
}
