import RepoBase
public import Storage

// Object lock (Amazon S3 user guide, "Locking objects with Object Lock"): a version that is locked can be deleted by nobody. Deleting an object without
// naming a version only puts a delete marker before it.
extension S3Store: LockingRemoteStore {
    public var lock: ObjectLock? { settings.lock }

    public var readsPast: Bool { true }

    func lockHeaders(_ mode: ObjectLock.Mode, until: Int64) -> [HTTPHeader] {
        [
            HTTPHeader("x-amz-object-lock-mode", mode.rawValue.uppercased()),
            HTTPHeader("x-amz-object-lock-retain-until-date", HTTPTime.iso(until)),
        ]
    }

    /// Needs the right `s3:GetObjectRetention`: without it an answer would say nothing of a lock, and pass for none.
    public func lockedUntil(_ key: StoreKey) throws -> Int64? {
        var request = RemoteRequest(.get, path(key), "see the lock of \(key)")
        request.query = [("retention", "")]
        request.accepted = [200, 404]
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        if response.status == 404 {
            guard ErrorAnswer(response).code != connection.dialect.words.absentBucket else { throw connection.error(request, response) }
            return nil
        }
        let retention = try? XMLElement(parsing: response.body)
        guard let text = retention?["RetainUntilDate"]?.text, let until = HTTPTime.parse(iso: text) else {
            throw RepoError(.failed, "cannot see the lock of \(key) in \(location): the answer names no date", advice: "Run 'repo storage probe'.")
        }
        return until
    }

    public func extendLock(_ key: StoreKey, until: Int64) throws {
        guard let lock = settings.lock else { return }
        try putRetention(
            key, lock, until: until, namespace: " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"",
            advice: "The credentials need s3:PutObjectRetention, the bucket object lock; a lock of another mode cannot be changed.")
    }

    /// One request for each to learn its versions, several at once, and one for every thousand to delete them. A store that locks nothing deletes as ever: what
    /// becomes of its versions is its owner's affair.
    public func purge(_ keys: [StoreKey]) throws {
        guard settings.lock != nil else { return try delete(keys) }
        let versions = try ParallelWork.map(keys.count, threads: options.listThreads) { index throws(RepoError) in
            try self.versions(of: keys[index])
        }
        try deleteAtOnce(versions.joined().map { ($0.key, $0.id) })
    }

    /// Every version of one object, and every mark of a deletion, as the server tells them: the newest first.
    func versions(of key: StoreKey) throws(RepoError) -> [S3VersionPage.Version] {
        var found: [S3VersionPage.Version] = []
        var place: S3VersionPage.Place?
        let path = path(key)
        while true {
            let page = try versionPage(path, delimiter: nil, place)
            found += page.versions.filter { $0.key == path }
            // Keys that begin with this one come behind it.
            guard let next = page.next, page.versions.allSatisfy({ $0.key == path }), next != place else { return found }
            place = next
        }
    }

    /// - Parameter prefix: in the bucket.
    func versionPage(_ prefix: String, delimiter: String?, _ place: S3VersionPage.Place?) throws(RepoError) -> S3VersionPage {
        try S3VersionPage(
            connection.send(S3VersionPage.request(prefix, delimiter, place, options), to: .memory(atMost: 16 << 20)).body)
    }

    func versionNames(of key: StoreKey) throws(RepoError) -> [String] { try versions(of: key).map(\.id) }

    func deleteVersions(_ names: [String], of key: StoreKey) throws { try deleteAtOnce(names.map { (path(key), $0) }) }

    func putLocked(_ key: StoreKey, _ bytes: [UInt8], _ mode: ObjectLock.Mode, until: Int64) throws {
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.put, path(key), "store a locked object")
            request.headers = headers(of: key, nil) + [HTTPHeader("x-amz-checksum-crc32c", Digests.crc32c(bytes))] + lockHeaders(mode, until: until)
            request.body = bytes
            _ = try connection.send(request, to: .memory(atMost: 64 << 10))
        }
    }

    var lockAdvice: String { "make the bucket with object lock" }

    var versionAdvice: String { "the bucket has to keep versions" }
}
