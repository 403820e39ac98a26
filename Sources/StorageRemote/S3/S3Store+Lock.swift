import RepoBase
public import Storage

// Object lock (Amazon S3 user guide, "Locking objects with Object Lock"): a version that is locked can be deleted by nobody. Deleting an object without
// naming a version only puts a delete marker before it.
extension S3Store {
    public var lock: ObjectLock? { settings.lock }

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
        var document = "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>\(lock.mode.rawValue.uppercased())</Mode>"
        document += "<RetainUntilDate>\(HTTPTime.iso(until))</RetainUntilDate></Retention>"
        let bytes = Array(document.utf8)
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.put, path(key), "lock \(key)")
            request.query = [("retention", "")]
            request.headers = [HTTPHeader("Content-Type", "application/xml"), HTTPHeader("Content-MD5", Digests.base64(Digests.md5(bytes)))]
            request.body = bytes
            request.accepted += [404]
            do throws(RepoError) {
                let response = try connection.send(request, to: .memory(atMost: 64 << 10))
                guard response.status == 404, ErrorAnswer(response).code == connection.dialect.words.absentBucket else { return }
                throw connection.error(request, response)
            } catch {
                guard error.code == .failed else { throw error }
                // A lock that lasts longer is not shortened.
                if let present = try lockedUntil(key), present >= until { return }
                throw RepoError(
                    .refused, error.message,
                    advice: "The credentials need s3:PutObjectRetention, the bucket object lock; a lock of another mode cannot be changed.")
            }
        }
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

    // MARK: - Probe

    /// Locks an object of its own for a few seconds in the mode that is asked for, tries to delete and to overwrite it, extends the lock, and deletes it when that has
    /// run out.
    func provenLock(_ lock: ObjectLock) throws -> StoreFinding {
        let subject = "lock \(lock)"
        func unsafe(_ what: String) -> StoreFinding { StoreFinding(subject, .unsafe, what) }
        let key = StoreKey("probe/" + String(UInt64.random(in: 1 << 60 ... .max), radix: 16) + "/locked")
        let first = clock.now() + 6
        do {
            try putProbe(key, lock.mode, until: first)
        } catch let error as RepoError where [.failed, .refused].contains(error.code) {
            return unsafe("an object that is locked cannot be stored; make the bucket with object lock. \(error.message)")
        }
        guard let version = try versions(of: key).first else { return unsafe("an object that was stored has no version") }
        if try canDelete(version) { return unsafe("a locked version can be deleted all the same") }
        try put(key, Array("another".utf8), .replace)
        guard try versions(of: key).contains(where: { $0.id == version.id }) else { return unsafe("overwriting a locked object destroys it") }
        try deleteAtOnce(versions(of: key).filter { $0.id != version.id }.map { ($0.key, $0.id) })
        let second = first + 3
        do {
            try extendLock(key, until: second)
        } catch let error as RepoError where [.failed, .refused].contains(error.code) {
            return unsafe("a lock cannot be extended: \(error.message)")
        }
        guard try lockedUntil(key) == second else { return unsafe("a lock that was extended ends at another time than was asked for") }
        while clock.now() <= first { clock.sleep(.milliseconds(500)) }
        if clock.now() < second, try canDelete(version), clock.now() < second { return unsafe("an extended lock ends as if it had not been extended") }
        while clock.now() <= second + 1 { clock.sleep(.milliseconds(500)) }
        do {
            try purge([key])
        } catch let error as RepoError where error.code == .refused {
            return StoreFinding(subject, .warning, "locked versions stay, but one whose lock has ended cannot be deleted: \(error.message)")
        }
        return StoreFinding(subject, .proven, "a locked version can be neither deleted nor overwritten, its lock can be extended, and then ends")
    }

    private func putProbe(_ key: StoreKey, _ mode: ObjectLock.Mode, until: Int64) throws {
        let bytes = Array("locked".utf8)
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.put, path(key), "store a locked object")
            request.headers = headers(of: key, nil) + [HTTPHeader("x-amz-checksum-crc32c", Digests.crc32c(bytes))] + lockHeaders(mode, until: until)
            request.body = bytes
            _ = try connection.send(request, to: .memory(atMost: 64 << 10))
        }
    }

    private func canDelete(_ version: S3VersionPage.Version) throws -> Bool {
        do {
            try deleteAtOnce([(version.key, version.id)])
        } catch let error as RepoError where error.code == .refused {
            return false
        }
        return true
    }
}
