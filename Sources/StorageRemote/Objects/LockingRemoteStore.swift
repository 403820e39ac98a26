import RepoBase
import Storage

/// A store over HTTP that keeps the versions of its objects, and keeps those that are locked from being deleted by anybody.
protocol LockingRemoteStore: RemoteStore {
    /// The headers of a put that lock what it stores until then, in seconds since 1970.
    func lockHeaders(_ mode: ObjectLock.Mode, until: Int64) -> [HTTPHeader]

    /// What the provider calls the versions that it has kept of one object, the newest first; marks of deletions are among them where it makes such. A request for
    /// each thousand.
    func versionNames(of key: StoreKey) throws(RepoError) -> [String]

    /// Deletes these versions of one object for good; those that are absent are no error. Throws `.refused` while one of them is locked.
    func deleteVersions(_ names: [String], of key: StoreKey) throws

    /// A small object, locked whatever its key. Throws `.refused` where the provider does not take it.
    func putLocked(_ key: StoreKey, _ bytes: [UInt8], _ mode: ObjectLock.Mode, until: Int64) throws

    /// What to do where no object can be locked: "make the bucket with object lock".
    var lockAdvice: String { get }

    /// What to do where objects that are locked can be neither deleted nor replaced for readers.
    var versionAdvice: String { get }
}

extension LockingRemoteStore {
    /// What a put of the key is given; nothing where nothing is locked.
    func lockHeaders(of key: StoreKey) -> [HTTPHeader] {
        guard let lock, ObjectLock.covers(key) else { return [] }
        return lockHeaders(lock.mode, until: clock.now() + lock.seconds)
    }

    /// By HEAD, from a header of its answer.
    /// - Parameter end: the time of the lock that such an answer tells; nil for an object without.
    func lockedUntil(_ key: StoreKey, by end: (HTTPResponse) throws(RepoError) -> Int64?) throws(RepoError) -> Int64? {
        var request = RemoteRequest(.head, path(key), "see the lock of \(key)")
        request.accepted = [200, 404]
        let response = try connection.send(request, to: .memory(atMost: 0))
        if response.status == 404 {
            guard ErrorAnswer(response).code != connection.dialect.words.absentBucket else { throw connection.error(request, response) }
            return nil
        }
        return isDeleted(response) ? nil : try end(response)
    }

    /// Locks an existing object by a document, as S3 and Cloud Storage have it (PutObjectRetention; "Set object retention").
    /// - Parameters:
    ///   - namespace: of the document, with a blank before it; or nothing.
    ///   - advice: where it is refused.
    func putRetention(_ key: StoreKey, _ lock: ObjectLock, until: Int64, namespace: String, advice: String) throws {
        var document = "<Retention\(namespace)><Mode>\(lock.mode.rawValue.uppercased())</Mode>"
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
                guard [.failed, .refused].contains(error.code) else { throw error }
                // A lock that lasts longer is not shortened.
                if let present = try lockedUntil(key), present >= until { return }
                throw RepoError(.refused, error.message, advice: advice)
            }
        }
    }

    // MARK: - Probe

    /// Locks two objects of its own for a few seconds in the mode that is asked for, tries to delete and to overwrite the one and hides the other as `forget` does,
    /// extends the lock, and deletes both when that has run out. Ten seconds.
    func provenLock(_ lock: ObjectLock) throws -> StoreFinding {
        let subject = "lock \(lock)"
        func unsafe(_ what: String) -> StoreFinding { StoreFinding(subject, .unsafe, what) }
        let folder = "probe/" + String(UInt64.random(in: 1 << 60 ... .max), radix: 16)
        let (key, hidden) = (StoreKey(folder + "/locked"), StoreKey(folder + "/hidden"))
        let first = clock.now() + 6
        do {
            for key in [key, hidden] { try putLocked(key, Array("locked".utf8), lock.mode, until: first) }
        } catch let error as RepoError where [.failed, .refused].contains(error.code) {
            return unsafe("an object that is locked cannot be stored; \(lockAdvice). \(error.message)")
        }
        guard let version = try versionNames(of: key).first, let hiddenVersion = try versionNames(of: hidden).first else {
            return unsafe("an object that was stored has no version; \(versionAdvice)")
        }
        if try canDelete(version, of: key) { return unsafe("a locked version can be deleted all the same") }
        let second = first + 3
        do {
            try extendLock(key, until: second)
        } catch let error as RepoError where [.failed, .refused].contains(error.code) {
            return unsafe("a lock cannot be extended: \(error.message)")
        }
        guard try lockedUntil(key) == second else { return unsafe("a lock that was extended ends at another time than was asked for") }
        do {
            try put(key, Array("another".utf8), .replace)
            try delete(hidden)
        } catch let error as RepoError where [.failed, .refused].contains(error.code) {
            return unsafe("a locked object can be neither replaced nor deleted for readers; \(versionAdvice). \(error.message)")
        }
        guard try versionNames(of: key).contains(version) else { return unsafe("overwriting a locked object destroys it") }
        guard try stat(hidden) == nil else { return unsafe("a locked object that was deleted is still there for readers") }
        guard try versionNames(of: hidden).contains(hiddenVersion) else { return unsafe("deleting a locked object destroys it") }
        while clock.now() <= first { clock.sleep(.milliseconds(500)) }
        if clock.now() < second, try canDelete(version, of: key), clock.now() < second { return unsafe("an extended lock ends as if it had not been extended") }
        while clock.now() <= second + 1 { clock.sleep(.milliseconds(500)) }
        do {
            try purge([key, hidden])
        } catch let error as RepoError where error.code == .refused {
            return StoreFinding(subject, .warning, "locked versions stay, but one whose lock has ended cannot be deleted: \(error.message)")
        }
        return StoreFinding(subject, .proven, "a locked version can be neither deleted nor overwritten, its lock can be extended, and then ends")
    }

    private func canDelete(_ version: String, of key: StoreKey) throws -> Bool {
        do {
            try deleteVersions([version], of: key)
        } catch let error as RepoError where error.code == .refused {
            return false
        }
        return true
    }
}
