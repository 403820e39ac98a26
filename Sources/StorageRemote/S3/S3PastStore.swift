import RepoBase
public import Storage

/// A bucket as it was at a moment, read from the versions that it has kept: what was deleted or overwritten since is there, what came since is not. Nothing can be
/// written.
///
/// A version counts from the time of its `LastModified` on, to the second, until the next one of its key; a delete marker is a version without an object. Which
/// version of an object counts is told by listings, or else by one request when it is first read, and remembered: some 200 bytes an object.
public final class S3PastStore: RemoteStore {
    public let location: String
    let connection: RemoteConnection
    let prefix: String
    let options: RemoteOptions
    let clock: StoreClock
    private let present: S3Store
    /// Seconds since 1970.
    private let moment: Int64

    private enum Known {
        case version(S3VersionPage.Version)
        case absent
    }

    private let known = Monitor<[StoreKey: Known]>([:])

    init(_ present: S3Store, asOf moment: Int64) {
        (self.present, self.moment) = (present, moment)
        (location, connection, prefix, options, clock) =
            (present.location, present.connection, present.prefix, present.options, present.clock)
    }

    // MARK: - Reading

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        guard let version = try version(of: key) else { return nil }
        guard version.isArchived else { return StoredObject(key: key, size: version.size ?? 0, modified: version.modified ?? 0) }
        // Whether it was brought back only the object itself tells.
        var request = RemoteRequest(.head, path(key), "look for \(key)")
        request.query = [("versionId", version.id)]
        request.accepted = [200]
        let response = try connection.send(request, to: .memory(atMost: 0))
        return StoredObject(
            key: key, size: version.size ?? 0, modified: version.modified ?? 0, availability: S3StorageClass.availability(response))
    }

    public var hasArchive: Bool { true }

    /// A copy for a while, which changes no version.
    public func thaw(_ key: StoreKey, _ request: ThawRequest) throws { try present.thaw(key, version: versionQuery(key), request) }

    func versionQuery(_ key: StoreKey) throws(RepoError) -> [(String, String)] {
        guard let version = try version(of: key) else { throw StoreError.notFound(key, in: location) }
        return [("versionId", version.id)]
    }

    private func version(of key: StoreKey) throws(RepoError) -> S3VersionPage.Version? {
        if let known = known.withLock({ $0[key] }) {
            guard case .version(let version) = known else { return nil }
            return version
        }
        let version = newest(try present.versions(of: key)[...])
        remember(version, as: key)
        return version
    }

    private func remember(_ version: S3VersionPage.Version?, as key: StoreKey) {
        known.withLock { $0[key] = version.map { .version($0) } ?? .absent }
    }

    /// Of versions of one key, the newest first, the one that counted at the moment; nil where the object was not there. Those of one second are told apart by
    /// their order alone.
    private func newest(_ versions: ArraySlice<S3VersionPage.Version>) -> S3VersionPage.Version? {
        var found: S3VersionPage.Version?
        for version in versions {
            guard let modified = version.modified, modified <= moment, modified > found?.modified ?? .min else { continue }
            found = version
        }
        return found.flatMap { $0.isDeletion ? nil : $0 }
    }

    // MARK: - Listing

    /// Objects in the order of their keys. All versions of a key are looked at together: the last key of a page, of which the next page may have more, is asked for
    /// again with that.
    func page(_ prefix: String, delimiter: String?, continuation: String?) throws(RepoError) -> ListPage {
        var place = continuation.map { Self.place($0) }
        var versions: [S3VersionPage.Version] = []
        var page = ListPage()
        while true {
            let next = try present.versionPage(self.prefix + prefix, delimiter: delimiter, place)
            versions += next.versions
            page.folders += next.folders
            guard let following = next.next else { break }
            guard following != place else { throw ListPage.wrong("the server begins the same page again") }
            place = following
            guard let last = versions.last?.key else {
                // Folders alone.
                page.continuation = Self.continuation(following)
                break
            }
            guard let complete = versions.lastIndex(where: { $0.key != last }) else { continue }
            versions.removeSubrange((complete + 1)...)
            // Behind all versions of a key; folders that come before the next one are told twice, and are the same.
            page.continuation = Self.continuation(.init(key: versions[complete].key, version: ""))
            break
        }
        var start = versions.startIndex
        while start < versions.endIndex {
            let end = versions[start...].firstIndex { $0.key != versions[start].key } ?? versions.endIndex
            let version = newest(versions[start..<end])
            if let key = StoreKey(checking: String(versions[start].key.dropFirst(self.prefix.count))) { remember(version, as: key) }
            if let version { page.objects.append(.init(key: version.key, size: version.size, modified: version.modified, isArchived: version.isArchived)) }
            start = end
        }
        return page
    }

    /// Keys have no line feeds.
    private static func continuation(_ place: S3VersionPage.Place) -> String { "\(place.key)\n\(place.version)" }

    private static func place(_ continuation: String) -> S3VersionPage.Place {
        let parts = continuation.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        return S3VersionPage.Place(key: String(parts[0]), version: parts.count > 1 ? String(parts[1]) : "")
    }

    // MARK: - What is refused

    public var isReadOnly: Bool { true }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { throw refusal }

    public func delete(_ key: StoreKey) throws { throw refusal }

    public func delete(_ keys: [StoreKey]) throws { if !keys.isEmpty { throw refusal } }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { throw refusal }

    private var refusal: RepoError {
        RepoError(
            .refused, "\(location) is the past, which nothing can be written to",
            advice: "Bring snapshots back from it with 'repo restore', or all of it into a new repository with 'repo copy --to'.")
    }
}
