import RepoBase
import Storage

/// What stores over HTTP do alike: reading, looking, deleting one object, and listing. Each provider adds how it puts and how it asks for a page.
///
/// Nothing is tried again here but what surely has not happened: that is `RetryingStore`'s affair. Any number of threads may call at once; each
/// has a connection of its own.
protocol RemoteStore: Store {
    var connection: RemoteConnection { get }
    /// In the bucket; empty, or with a slash at its end.
    var prefix: String { get }
    var options: RemoteOptions { get }
    var clock: StoreClock { get }

    /// What names the version to read, beside the key; nothing: the one that is there now. Throws `.notFound` where there is none.
    func versionQuery(_ key: StoreKey) throws(RepoError) -> [(String, String)]

    /// Whether an object whose headers these are can be read.
    func availability(_ response: HTTPResponse) -> Availability

    /// Whether the provider makes no mark of its own for an object that was deleted while it was locked, and `isDeleted` tells of ours.
    var hasDeletionMarks: Bool { get }

    /// Whether these are the headers of a mark that is put before an object to delete it, and goes in a moment.
    func isDeleted(_ response: HTTPResponse) -> Bool

    /// One page of the objects whose keys begin with a prefix; with a delimiter, names that go on behind it are told as folders.
    func page(_ prefix: String, delimiter: String?, continuation: String?) throws(RepoError) -> ListPage
}

/// How large objects and long listings travel.
public struct RemoteOptions: Hashable, Sendable {
    /// Larger objects are put in parts.
    public var largestSinglePut = 64 << 20
    /// S3: larger ones for whose name several may race go in parts as well. Not every server decides between uploads in parts (SeaweedFS 4.48 lets
    /// several win), so up to this size, the most that S3 takes in one request, they are put by one.
    public var largestRacedPut = 5 << 30
    /// At least 5 MiB in S3 (Amazon S3 user guide, "multipart upload limits"), a multiple of 256 KiB at Google.
    public var partBytes = 16 << 20
    /// Parts of one object that travel at once, where the provider allows it.
    public var partThreads = 4
    /// Listings that run at once where one has many pages, and deletions where each is a request.
    public var listThreads = 8
    /// Pages of a listing that are fetched one after the other before it is shared out.
    public var pagesInTurn = 8
    /// Keys of a page: at most 1000.
    public var pageKeys = 1000
    /// Whether each page is asked for until two answers agree; nil: where nothing protects them on the way, by `http:` to another machine.
    public var listsTwice: Bool?

    public init() {}
}

extension RemoteStore {
    func path(_ key: StoreKey) -> String { prefix + key.description }

    func versionQuery(_ key: StoreKey) throws(RepoError) -> [(String, String)] { [] }

    func availability(_ response: HTTPResponse) -> Availability { .ready }

    var hasDeletionMarks: Bool { false }

    func isDeleted(_ response: HTTPResponse) -> Bool { false }

    /// Servers that compute checksums tell theirs.
    func requireChecksum(_ told: String?, _ checksum: String, _ key: StoreKey) throws(RepoError) {
        guard let told, told != checksum else { return }
        throw RepoError(
            .failed, "\(key) did not arrive whole in \(location): its checksum there is \(told), here \(checksum)",
            advice: "Run 'repo check --read-data', and look for a proxy or a disk that alters data.")
    }

    /// The name is taken, perhaps by this very request: whoever tries again compares.
    func uncertain(_ request: RemoteRequest) -> RepoError {
        RepoError(.unreachable, "cannot \(request.action) in \(location): the answer was lost with the connection", advice: "Try again.")
    }

    /// Tries a part of a put again: it may be sent at will, and one break shall not cost the whole object.
    func retryingPart<R>(_ body: () throws(RepoError) -> R) throws(RepoError) -> R {
        var failures = 0
        while true {
            do throws(RepoError) {
                return try body()
            } catch {
                failures += 1
                let wait = RetryPolicy.part.delay(afterFailures: failures, elapsed: .zero, random: .random(in: 0..<1))
                guard error.code == .unreachable, let wait else { throw error }
                clock.sleep(wait)
            }
        }
    }

    // MARK: - Reading

    public func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        // Nothing is longer: objects have at most 50 TB in S3, 5 TiB at Google, 190.7 TiB in Azure.
        guard offset < 1 << 50, !buffer.isEmpty else {
            guard try stat(key) != nil else { throw StoreError.notFound(key, in: location) }
            return 0
        }
        var filled = 0
        var version: String?
        for _ in 0..<16 {
            let start = offset + UInt64(filled)
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            var request = RemoteRequest(.get, path(key), "read \(key)")
            request.query = try versionQuery(key)
            request.headers = [HTTPHeader("Range", "bytes=\(start)-\(start + UInt64(rest.count) - 1)")]
            if let version { request.headers.append(HTTPHeader("If-Match", version)) }
            request.accepted = [200, 206, 404, 412, 416]
            request.acceptsPart = true
            let response = try connection.send(request, to: .buffer(rest))
            switch response.status {
            case 404: throw absence(key, response, request)
            case 416:
                // Of an empty object any range is wrong; a mark of a deletion is empty, and may have gone since.
                guard hasDeletionMarks, offset == 0, filled == 0 else { return filled }
                guard let present = try stat(key) else { throw StoreError.notFound(key, in: location) }
                if present.size == 0 { return 0 }
                continue
            // Replaced since the first part was read: from the beginning, lest two versions are mixed.
            case 412:
                filled = 0
                version = nil
                continue
            case 206: try requireRange(response, start, request)
            default:
                guard start == 0 else {
                    throw RepoError(
                        .failed, "cannot read \(key) in \(location): the server sends the whole object where a part was asked for",
                        advice: "Ranges are needed; run 'repo storage probe' on this store.")
                }
            }
            filled += response.received
            guard response.wasCut, filled < buffer.count else { return filled }
            // Only what says which version it is can be continued.
            guard let etag = response["etag"], !etag.hasPrefix("W/") else { break }
            version = etag
        }
        throw RepoError(
            .unreachable, "cannot read \(key) in \(location): the connection broke again and again", advice: "Try again later.")
    }

    /// The answer is the part that was asked for, and short only at the object's end.
    private func requireRange(_ response: HTTPResponse, _ start: UInt64, _ request: RemoteRequest) throws(RepoError) {
        guard let range = response["content-range"], range.hasPrefix("bytes "), let dash = range.firstIndex(of: "-"),
            UInt64(range[range.index(range.startIndex, offsetBy: 6)..<dash]) == start
        else {
            throw RepoError(
                .failed, "cannot \(request.action) in \(location): the server sent another part than was asked for",
                advice: "Ranges are needed; run 'repo storage probe' on this store.")
        }
    }

    /// An absent object, or an absent bucket.
    private func absence(_ key: StoreKey, _ response: HTTPResponse, _ request: RemoteRequest) -> RepoError {
        if ErrorAnswer(response).code == connection.dialect.words.absentBucket { return connection.error(request, response) }
        return StoreError.notFound(key, in: location)
    }

    /// One request; and another where what arrived has not the checksum that the server tells. Should it stay so, whoever asked will see what is
    /// wrong with it.
    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        var triesLeft = 2
        while true {
            var request = RemoteRequest(.get, path(key), "read \(key)")
            request.query = try versionQuery(key)
            request.headers = connection.dialect.checksumRequest
            request.accepted = [200, 404]
            request.mayBeTooLarge = true
            let response = try connection.send(request, to: .memory(atMost: limit))
            if response.isLonger {
                throw RepoError.damaged("\(key)", "it has \(response["content-length"] ?? "more") bytes, more than \(limit)")
            }
            if response.status == 404 { throw absence(key, response, request) }
            if isDeleted(response) { throw StoreError.notFound(key, in: location) }
            guard triesLeft > 0, let (told, found) = connection.dialect.checksums(response), told != found else { return response.body }
            triesLeft -= 1
        }
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        var request = RemoteRequest(.head, path(key), "look for \(key)")
        request.query = try versionQuery(key)
        request.accepted = [200, 301, 307, 400, 401, 403, 404]
        let response = try connection.send(request, to: .memory(atMost: 0))
        if response.status == 404, ErrorAnswer(response).code != connection.dialect.words.absentBucket { return nil }
        // An answer to HEAD has no words for what is wrong; the same asked by GET has.
        guard response.status == 200 else {
            let query = request.query
            request = RemoteRequest(.get, path(key), "look for \(key)")
            request.query = query
            request.headers = [HTTPHeader("Range", "bytes=0-0")]
            request.accepted = [404]
            let answer = try connection.send(request, to: .memory(atMost: 64 << 10))
            if ErrorAnswer(answer).code == connection.dialect.words.absentBucket { throw connection.error(request, answer) }
            return nil
        }
        if isDeleted(response) { return nil }
        guard let size = response["content-length"].flatMap({ UInt64($0) }),
            let modified = response["last-modified"].flatMap({ HTTPTime.parse(http: $0) })
        else {
            throw RepoError(
                .failed, "cannot look for \(key) in \(location): the server tells neither size nor time", advice: "Run 'repo storage probe'.")
        }
        return StoredObject(key: key, size: size, modified: modified, availability: availability(response))
    }

    /// A put returns when the object is durable.
    public func makeDurable(_ key: StoreKey) throws {}

    // MARK: - Deleting

    public func delete(_ key: StoreKey) throws { try deleteOne(key) }

    /// What is there now, without naming a version.
    func deleteOne(_ key: StoreKey) throws(RepoError) {
        var request = RemoteRequest(.delete, path(key), "delete \(key)")
        request.accepted += [202, 404]
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        if response.status == 404, ErrorAnswer(response).code == connection.dialect.words.absentBucket {
            throw connection.error(request, response)
        }
    }

    /// A request for each, several at once.
    public func delete(_ keys: [StoreKey]) throws {
        _ = try ParallelWork.map(keys.count, threads: options.listThreads) { index throws(RepoError) in try self.deleteOne(keys[index]) }
    }
}

extension RetryPolicy {
    /// Within one put: what takes longer is for whoever tries the whole put again.
    static let part = RetryPolicy(
        attempts: 4, firstDelay: .milliseconds(200), maximumDelay: .seconds(5), totalTime: .seconds(30))
}
