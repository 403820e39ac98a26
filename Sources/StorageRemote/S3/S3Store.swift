public import RepoBase
public import Storage

/// A bucket of S3, or a part of one below a prefix, as a store.
///
/// An object is put by one request, or in parts where it is large and named by its content; create-only by `If-None-Match: *`, which the server has to honour
/// (`repo storage probe` proves it). Every body goes with its CRC-32C, which the server compares.
public final class S3Store: RemoteStore {
    public let location: String
    let connection: RemoteConnection
    let settings: S3Settings
    let prefix: String
    let options: Options
    let clock: StoreClock

    public typealias Options = RemoteOptions

    /// Sends nothing yet. Throws `.usage` for settings that contradict each other.
    /// - Parameter variable: of the environment.
    public convenience init(
        _ location: S3Location, environment variable: @escaping StoreEnvironment, options: Options = Options(), clock: StoreClock = .system
    ) throws(RepoError) {
        let settings = try S3Settings(location, variable)
        var options = options
        options.listsTwice = location.listsTwice ?? options.listsTwice
        let plain = HTTPClient(.init(usesProxies: false))
        let cache = S3CredentialCache(
            Self.sources(location, variable, plain), now: clock.now)
        self.init(
            settings, name: location.description, credentials: cache, options: options, clock: clock)
    }

    /// The bucket as it is, or as it was at the moment that the location names. Sends nothing yet. Throws `.usage`.
    public static func open(
        _ location: S3Location, environment variable: @escaping StoreEnvironment, options: Options = Options(), clock: StoreClock = .system
    ) throws(RepoError) -> any Store {
        let store = try S3Store(location, environment: variable, options: options, clock: clock)
        guard let moment = location.moment else { return store }
        return S3PastStore(store, asOf: moment)
    }

    init(_ settings: S3Settings, name: String, credentials: S3CredentialCache, options: Options, clock: StoreClock) {
        location = name
        prefix = settings.prefix
        self.options = options
        self.clock = clock
        self.settings = settings
        connection = RemoteConnection(
            S3Dialect(settings: settings, credentials: credentials), location: name, client: HTTPClient(.init(certificates: settings.certificates)),
            now: clock.now)
    }

    /// In the order of Amazon's own tools; a profile that the location names comes first and alone.
    private static func sources(
        _ location: S3Location, _ variable: @escaping StoreEnvironment, _ client: HTTPClient
    ) -> [any CredentialSource<S3Credentials>] {
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

    // MARK: - Objects

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try put(key, bytes, mode, storageClass: nil) }

    public func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try put(key, bytes, mode, storageClass: settings.storageClass)
    }

    private func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode, storageClass: String?) throws {
        let isRaced = mode == .create && !key.namesContent
        if bytes.count > (isRaced ? max(options.largestRacedPut, options.largestSinglePut) : options.largestSinglePut) {
            return try putInParts(key, bytes, mode, storageClass: storageClass)
        }
        let checksum = Digests.crc32c(bytes)
        var request = RemoteRequest(.put, path(key), "store \(key)")
        request.headers = headers(of: key, storageClass) + [HTTPHeader("x-amz-checksum-crc32c", checksum)]
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

    /// - Parameter storageClass: nil: the bucket's own, where all can be read at once.
    func headers(of key: StoreKey, _ storageClass: String?) -> [HTTPHeader] {
        var headers = [HTTPHeader("Content-Type", "application/octet-stream")]
        if let storageClass { headers.append(HTTPHeader("x-amz-storage-class", storageClass)) }
        return headers + lockHeaders(of: key)
    }

    func page(_ prefix: String, delimiter: String?, continuation: String?) throws(RepoError) -> ListPage {
        try ListPage(s3: connection.send(ListPage.s3Request(self.prefix, prefix, delimiter, continuation, options), to: .memory(atMost: 16 << 20)).body)
    }
}
