import RepoBase
public import Storage

// Version-level immutability ("Version-level write once, read many (WORM) policies for immutable blob data" of the Azure Storage documentation; "Set Blob
// Immutability Policy", "Put Blob", "Put Block List", "Delete Blob" of the REST reference). The account keeps versions: a blob that is replaced or deleted becomes a
// previous version, with the policy that it had. Two things differ from S3:
// - Delete Blob is refused while the current version is locked, instead of putting a delete marker before it. So an empty blob, marked as a deletion by its metadata,
//   is put before it first, which is always allowed, and is then deleted. Readers and listings take the mark for what it says.
// - A previous version is deleted by its id; the current one by its blob's name alone, which makes it a previous one.
extension AzureStore: LockingRemoteStore {
    /// The name of the metadata of a mark of a deletion.
    static let deletionMark = "repo_deleted"
    private static let deletionHeader = "x-ms-meta-" + deletionMark

    /// Unlocked policies can be lifted by those who may set them, locked ones can only be extended.
    func lockHeaders(_ mode: ObjectLock.Mode, until: Int64) -> [HTTPHeader] {
        [
            HTTPHeader("x-ms-immutability-policy-mode", mode == .compliance ? "Locked" : "Unlocked"),
            HTTPHeader("x-ms-immutability-policy-until-date", HTTPTime.http(until)),
        ]
    }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? {
        try lockedUntil(key) { response throws(RepoError) in
            guard let text = response["x-ms-immutability-policy-until-date"] else { return nil }
            guard let until = HTTPTime.parse(http: text) else {
                throw RepoError(.failed, "cannot see the lock of \(key) in \(location): '\(RemoteFailure.oneLine(text))' is no time", advice: "Run 'repo storage probe'.")
            }
            return until
        }
    }

    /// In mode `governance` two requests: the service lets an unlocked policy be shortened, so that it is looked at before.
    public func extendLock(_ key: StoreKey, until: Int64) throws {
        guard let lock else { return }
        if lock.mode == .governance, let present = try lockedUntil(key), present >= until { return }
        var request = RemoteRequest(.put, path(key), "lock \(key)")
        request.query = [("comp", "immutabilityPolicies")]
        request.headers = lockHeaders(lock.mode, until: until)
        request.accepted = [200, 400, 404, 409]
        let words = connection.dialect.words
        let response: HTTPResponse
        do throws(RepoError) {
            response = try connection.send(request, to: .memory(atMost: 64 << 10))
        } catch {
            throw error.code == .failed ? RepoError(.refused, error.message, advice: words.rightsAdvice) : error
        }
        let code = ErrorAnswer(response).code
        if response.status == 200 || response.status == 404 && code != words.absentBucket { return }
        let failure = connection.error(request, response)
        guard response.status != 404, !words.passing.contains(code) else { throw failure }
        // A lock that lasts longer is not shortened.
        if let present = try lockedUntil(key), present >= until { return }
        throw RepoError(.refused, failure.message, advice: "A lock in mode compliance cannot be changed to governance; otherwise run 'repo storage probe'.")
    }

    // MARK: - Deleting

    public func delete(_ key: StoreKey) throws { try hide(key) }

    /// A request for each, and three more where it is locked; several at once.
    public func delete(_ keys: [StoreKey]) throws {
        _ = try ParallelWork.map(keys.count, threads: options.listThreads) { index throws(RepoError) in try self.hide(keys[index]) }
    }

    private func hide(_ key: StoreKey) throws(RepoError) {
        guard lock != nil else { return try deleteOne(key) }
        var request = RemoteRequest(.delete, path(key), "delete \(key)")
        request.accepted = [202, 404, 409]
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        switch (response.status, ErrorAnswer(response).code) {
        case (202, _): return
        case (404, let code) where code != connection.dialect.words.absentBucket: return
        case (409, "BlobImmutableDueToPolicy"): break
        default: throw connection.error(request, response)
        }
        var mark = RemoteRequest(.put, path(key), "delete \(key)")
        mark.headers = [HTTPHeader("x-ms-blob-type", "BlockBlob"), HTTPHeader(Self.deletionHeader, "1")]
        mark.accepted = [201]
        let made = try connection.send(mark, to: .memory(atMost: 64 << 10))
        try removeMark(key, etag: made["etag"], version: made["x-ms-version-id"])
    }

    /// Whether there was one.
    func removeMark(_ key: StoreKey) throws(RepoError) -> Bool {
        var request = RemoteRequest(.head, path(key), "look for \(key)")
        request.accepted = [200, 404]
        let response = try connection.send(request, to: .memory(atMost: 0))
        // Somebody else has just removed it.
        if response.status == 404 { return ErrorAnswer(response).code != connection.dialect.words.absentBucket }
        guard isDeleted(response) else { return false }
        try removeMark(key, etag: response["etag"], version: response["x-ms-version-id"])
        return true
    }

    /// Leaves alone what has taken the mark's place meanwhile.
    private func removeMark(_ key: StoreKey, etag: String?, version: String?) throws(RepoError) {
        var removal = RemoteRequest(.delete, path(key), "delete \(key)")
        if let etag { removal.headers = [HTTPHeader("If-Match", etag)] }
        removal.accepted = [202, 404, 412]
        _ = try connection.send(removal, to: .memory(atMost: 64 << 10))
        guard let version else { return }
        // Credentials that may hide objects need not be able to delete versions: what stays of a mark is empty.
        do throws(RepoError) {
            try deleteVersion(version, of: key)
        } catch {
            guard error.code == .refused else { throw error }
        }
    }

    var hasDeletionMarks: Bool { true }

    func isDeleted(_ response: HTTPResponse) -> Bool { response[Self.deletionHeader] != nil }

    // MARK: - Versions

    private struct Version {
        let id: String
        let isCurrent: Bool
    }

    /// For each object one request to learn its versions, one to delete it, and one for each version; several objects at once. Without `lock` it deletes as ever:
    /// what becomes of previous versions is the account's owner's affair.
    public func purge(_ keys: [StoreKey]) throws {
        guard lock != nil else { return try delete(keys) }
        _ = try ParallelWork.map(keys.count, threads: options.listThreads) { index throws(RepoError) in
            try self.delete(self.versions(of: keys[index]), of: keys[index])
        }
    }

    func versionNames(of key: StoreKey) throws(RepoError) -> [String] { try versions(of: key).map(\.id).filter { !$0.isEmpty } }

    func deleteVersions(_ names: [String], of key: StoreKey) throws { try delete(versions(of: key).filter { names.contains($0.id) }, of: key) }

    private func delete(_ versions: [Version], of key: StoreKey) throws(RepoError) {
        if versions.contains(where: \.isCurrent) { try deleteOne(key) }
        for version in versions where !version.id.isEmpty { try deleteVersion(version.id, of: key) }
    }

    private func deleteVersion(_ id: String, of key: StoreKey) throws(RepoError) {
        var request = RemoteRequest(.delete, path(key), "delete the version \(id) of \(key)")
        request.query = [("versionid", id)]
        request.accepted = [202, 404]
        _ = try connection.send(request, to: .memory(atMost: 64 << 10))
    }

    /// The newest first; one without an id where no versions are kept ("List Blobs" of the REST reference).
    private func versions(of key: StoreKey) throws(RepoError) -> [Version] {
        let path = path(key)
        var found: [Version] = []
        var marker = ""
        while true {
            var request = RemoteRequest(.get, "", "list versions of \(key)")
            request.query = [
                ("restype", "container"), ("comp", "list"), ("include", "versions"), ("prefix", path), ("maxresults", "\(options.pageKeys)"),
            ]
            if !marker.isEmpty { request.query.append(("marker", marker)) }
            request.accepted = [200]
            let root: XMLElement
            do {
                root = try XMLElement(parsing: connection.send(request, to: .memory(atMost: 16 << 20)).body)
            } catch let error as XMLScanner.Malformed {
                throw RepoError(.unreachable, "the listing does not parse: \(error.why), at byte \(error.offset)", advice: "Try again.")
            } catch let error as RepoError {
                throw error
            } catch {
                throw RepoError(.failed, "\(error)")
            }
            guard root.name == "EnumerationResults", let next = root["NextMarker"]?.text else { throw ListPage.wrong("it does not say whether it is whole") }
            let blobs = root["Blobs"]?.all("Blob") ?? []
            for blob in blobs where blob["Name"]?.text == path {
                let id = blob["VersionId"]?.text ?? ""
                found.append(Version(id: id, isCurrent: id.isEmpty || blob["IsCurrentVersion"]?.text == "true"))
            }
            // Names that begin with this one come behind it.
            guard !next.isEmpty, next != marker, blobs.allSatisfy({ $0["Name"]?.text == path }) else { break }
            marker = next
        }
        // Ids are times.
        return found.sorted { ($0.isCurrent ? 1 : 0, $0.id) > ($1.isCurrent ? 1 : 0, $1.id) }
    }

    // MARK: - Probe

    func putLocked(_ key: StoreKey, _ bytes: [UInt8], _ mode: ObjectLock.Mode, until: Int64) throws {
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.put, path(key), "store a locked object")
            request.headers = lockHeaders(mode, until: until) + [HTTPHeader("x-ms-blob-type", "BlockBlob")]
            request.body = bytes
            request.accepted = [201, 400, 409]
            let response = try connection.send(request, to: .memory(atMost: 64 << 10))
            guard response.status != 201 else { return }
            throw RepoError(.refused, connection.error(request, response).message)
        }
    }

    var lockAdvice: String {
        "make the container with version-level immutability: az storage container-rm create --enable-vlw --storage-account ACCOUNT --name CONTAINER"
    }

    var versionAdvice: String {
        "the account has to keep versions (az storage account blob-service-properties update --enable-versioning true), and the container to have no default policy"
    }
}
