import Glibc
public import RepoBase
public import Storage

/// A bucket of S3, or a part of one below a prefix, as a store.
///
/// An object is put by one request, or in parts where it is large; create-only by `If-None-Match: *`, which the server has to honour
/// (`repo storage probe` proves it). Every body goes with its CRC-32C, which the server compares. Nothing is tried again here but what
/// surely has not happened: that is `RetryingStore`'s affair. Any number of threads may call at once; each has a connection of its own.
public final class S3Store: Store {
    public let location: String
    let connection: S3Connection
    let prefix: String
    let options: Options
    let clock: StoreClock

    public struct Options: Hashable, Sendable {
        /// Larger objects are put in parts.
        public var largestSinglePut = 64 << 20
        /// At least 5 MiB (Amazon S3 user guide, "multipart upload limits").
        public var partBytes = 16 << 20
        /// Parts of one object that travel at once.
        public var partThreads = 4
        /// Listings that run at once where one has many pages.
        public var listThreads = 8
        /// Pages of a listing that are fetched one after the other before it is shared out.
        public var pagesInTurn = 8
        /// Keys of a page: at most 1000.
        public var pageKeys = 1000

        public init() {}
    }

    /// Sends nothing yet. Throws `.usage` for settings that contradict each other.
    /// - Parameter variable: of the environment.
    public convenience init(
        _ location: S3Location, environment variable: @escaping S3Environment, options: Options = Options(), clock: StoreClock = .system
    ) throws(RepoError) {
        let settings = try S3Settings(location, variable)
        let plain = HTTPClient(.init(usesProxies: false))
        let cache = S3CredentialCache(
            Self.sources(location, variable, plain), now: clock.now)
        self.init(
            settings, name: location.description, credentials: cache, options: options, clock: clock)
    }

    init(_ settings: S3Settings, name: String, credentials: S3CredentialCache, options: Options, clock: StoreClock) {
        location = name
        prefix = settings.prefix
        self.options = options
        self.clock = clock
        connection = S3Connection(
            settings, location: name, client: HTTPClient(.init(certificates: settings.certificates)), credentials: credentials, now: clock.now)
    }

    /// In the order of Amazon's own tools; a profile that the location names comes first and alone.
    private static func sources(
        _ location: S3Location, _ variable: @escaping S3Environment, _ client: HTTPClient
    ) -> [any S3CredentialSource] {
        let profile = ProfileCredentials(profile: location.profile, variable: variable)
        if location.profile != nil { return [profile] }
        return [
            EnvironmentCredentials(variable: variable), profile, ContainerCredentials(variable: variable, client: client),
            InstanceCredentials(variable: variable, client: client),
        ]
    }

    /// The variables of the environment that decide where requests go and what they are signed with.
    public static let variables = [
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
        "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_EC2_METADATA_DISABLED",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    ]

    /// Requests sent so far, to know what an operation costs.
    public var requestCount: Int { connection.requestCount }

    func path(_ key: StoreKey) -> String { prefix + key.description }

    // MARK: - Objects

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        if bytes.count > options.largestSinglePut { return try putInParts(key, bytes, mode) }
        let checksum = Digests.crc32c(bytes)
        var request = S3Request(.put, path(key), "store \(key)")
        request.headers = headers(of: key) + [HTTPHeader("x-amz-checksum-crc32c", checksum)]
        request.body = bytes
        if mode == .create {
            request.headers.append(HTTPHeader("If-None-Match", "*"))
            request.accepted += [409, 412]
            // Without a body nothing tells that a request went out twice.
            request.needsFreshConnection = bytes.isEmpty
        }
        for attempt in 0..<5 {
            let response = try connection.send(request, to: .memory(atMost: 64 << 10))
            switch response.status {
            case 412:
                guard !response.wasResent else { throw uncertain(request) }
                throw StoreError.conflict(key, in: location)
            // Somebody put or deleted it at the same moment (Amazon S3 user guide, "conditional writes").
            case 409: clock.sleep(.milliseconds(20 << attempt + Int.random(in: 0..<20)))
            default: return try requireChecksum(response["x-amz-checksum-crc32c"], checksum, key)
            }
        }
        throw RepoError(.unreachable, "cannot store \(key) in \(location): others keep writing to it", advice: "Try again.")
    }

    func headers(of key: StoreKey) -> [HTTPHeader] {
        var headers = [HTTPHeader("Content-Type", "application/octet-stream")]
        if let storageClass = connection.settings.storageClass, key.description.hasPrefix("packs/") {
            headers.append(HTTPHeader("x-amz-storage-class", storageClass))
        }
        return headers
    }

    /// Servers that compute checksums tell theirs.
    func requireChecksum(_ told: String?, _ checksum: String, _ key: StoreKey) throws(RepoError) {
        guard let told, told != checksum else { return }
        throw RepoError(
            .failed, "\(key) did not arrive whole in \(location): its checksum there is \(told), here \(checksum)",
            advice: "Run 'repo check --read-data', and look for a proxy or a disk that alters data.")
    }

    /// The name is taken, perhaps by this very request: whoever tries again compares.
    private func uncertain(_ request: S3Request) -> RepoError {
        RepoError(.unreachable, "cannot \(request.action) in \(location): the answer was lost with the connection", advice: "Try again.")
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        // Nothing is longer: objects have at most 50 TB.
        guard offset < 1 << 50, !buffer.isEmpty else {
            guard try stat(key) != nil else { throw StoreError.notFound(key, in: location) }
            return 0
        }
        var filled = 0
        var version: String?
        for _ in 0..<16 {
            let start = offset + UInt64(filled)
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            var request = S3Request(.get, path(key), "read \(key)")
            request.headers = [HTTPHeader("Range", "bytes=\(start)-\(start + UInt64(rest.count) - 1)")]
            if let version { request.headers.append(HTTPHeader("If-Match", version)) }
            request.accepted = [200, 206, 404, 412, 416]
            request.acceptsPart = true
            let response = try connection.send(request, to: .buffer(rest))
            switch response.status {
            case 404: throw try absence(key, response, request)
            case 416: return filled
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
    private func requireRange(_ response: HTTPResponse, _ start: UInt64, _ request: S3Request) throws(RepoError) {
        guard let range = response["content-range"], range.hasPrefix("bytes "), let dash = range.firstIndex(of: "-"),
            UInt64(range[range.index(range.startIndex, offsetBy: 6)..<dash]) == start
        else {
            throw RepoError(
                .failed, "cannot \(request.action) in \(location): the server sent another part than was asked for",
                advice: "Ranges are needed; run 'repo storage probe' on this store.")
        }
    }

    /// An absent object, or an absent bucket.
    private func absence(_ key: StoreKey, _ response: HTTPResponse, _ request: S3Request) throws(RepoError) -> RepoError {
        let answer = S3ErrorAnswer(response)
        if answer.code == "NoSuchBucket" {
            return S3Failure(settings: connection.settings, location: location).error(request, response, answer)
        }
        return StoreError.notFound(key, in: location)
    }

    /// One request.
    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        var request = S3Request(.get, path(key), "read \(key)")
        request.accepted = [200, 404]
        request.mayBeTooLarge = true
        let response = try connection.send(request, to: .memory(atMost: limit))
        if response.isLonger {
            throw RepoError.damaged("\(key)", "it has \(response["content-length"] ?? "more") bytes, more than \(limit)")
        }
        if response.status == 404 { throw try absence(key, response, request) }
        return response.body
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        var request = S3Request(.head, path(key), "look for \(key)")
        request.accepted = [200, 301, 307, 400, 401, 403, 404]
        let response = try connection.send(request, to: .memory(atMost: 0))
        if response.status == 404 { return nil }
        // An answer to HEAD has no words for what is wrong; the same asked by GET has.
        guard response.status == 200 else {
            request = S3Request(.get, path(key), "look for \(key)")
            request.headers = [HTTPHeader("Range", "bytes=0-0")]
            request.accepted = [404]
            _ = try connection.send(request, to: .memory(atMost: 64 << 10))
            return nil
        }
        guard let size = response["content-length"].flatMap({ UInt64($0) }),
            let modified = response["last-modified"].flatMap({ HTTPTime.parse(http: $0) })
        else {
            throw RepoError(
                .failed, "cannot look for \(key) in \(location): the server tells neither size nor time", advice: "Run 'repo storage probe'.")
        }
        return StoredObject(key: key, size: size, modified: modified)
    }

    /// A put returns when the object is durable.
    public func makeDurable(_ key: StoreKey) throws {}

    public func delete(_ key: StoreKey) throws {
        var request = S3Request(.delete, path(key), "delete \(key)")
        request.accepted += [404]
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        if response.status == 404, S3ErrorAnswer(response).code == "NoSuchBucket" { throw try absence(key, response, request) }
    }
}
