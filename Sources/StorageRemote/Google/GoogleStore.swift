import RepoBase
public import Storage

/// A bucket of Google Cloud Storage, or a part of one below a prefix, as a store, by the XML interface.
///
/// An object is put by one request, or by a resumable upload where it is large; create-only by `x-goog-if-generation-match: 0`, which the server has
/// to honour (`repo storage probe` proves it). Every body goes with its CRC-32C, which the server compares and tells.
public final class GoogleStore: RemoteStore {
    public let location: String
    let connection: RemoteConnection
    let prefix: String
    let options: RemoteOptions
    let clock: StoreClock
    public let lock: ObjectLock?
    private let storageClass: String?

    /// Sends nothing yet.
    /// - Parameter variable: of the environment.
    public init(
        _ location: GoogleLocation, environment variable: @escaping StoreEnvironment, options: RemoteOptions = .init(), clock: StoreClock = .system
    ) {
        let machine = HTTPClient(.init(usesProxies: false))
        let cache = CredentialCache<GoogleCredentials>(
            [
                GoogleKeyCredentials(variable: variable), GoogleTokenCredentials(variable: variable),
                GoogleFileCredentials(variable: variable, client: HTTPClient(), now: clock.now, locks: location.lock != nil),
                GoogleMachineCredentials(variable: variable, client: machine, now: clock.now),
            ], for: "Google Cloud Storage",
            advice: "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account's key, or GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY.",
            now: clock.now)
        connection = RemoteConnection(
            GoogleDialect(location, cache), location: location.description, client: HTTPClient(.init(certificates: location.certificates)),
            now: clock.now)
        self.location = location.description
        prefix = location.prefix
        storageClass = location.storageClass
        lock = location.lock
        var options = options
        options.listsTwice = location.listsTwice ?? options.listsTwice
        self.options = options
        self.clock = clock
    }

    /// The variables of the environment that decide what requests are authorised by.
    public static let variables = [
        "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_ACCESS_TOKEN", "GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY", "CLOUDSDK_CONFIG", "GCE_METADATA_HOST",
        "NO_GCE_CHECK",
    ]

    /// Requests sent so far, to know what an operation costs.
    public var requestCount: Int { connection.requestCount }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        if bytes.count > options.largestSinglePut { return try putResumably(key, bytes, mode) }
        let checksum = Digests.crc32c(bytes)
        var request = RemoteRequest(.put, path(key), "store \(key)")
        request.headers = headers(of: key, checksum, mode)
        request.body = bytes
        request.accepted = [200]
        if mode == .create {
            request.accepted.append(412)
            // Without a body nothing tells that a request went out twice.
            request.needsFreshConnection = bytes.isEmpty
        }
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        if response.status == 412 {
            guard !response.wasResent else { throw uncertain(request) }
            throw StoreError.conflict(key, in: location)
        }
        try requireChecksum(Self.checksum(response), checksum, key)
    }

    func headers(of key: StoreKey, _ checksum: String, _ mode: PutMode) -> [HTTPHeader] {
        var headers = [HTTPHeader("Content-Type", "application/octet-stream"), HTTPHeader("x-goog-hash", "crc32c=\(checksum)")]
        if mode == .create { headers.append(HTTPHeader("x-goog-if-generation-match", "0")) }
        if let storageClass, key.description.hasPrefix("packs/") { headers.append(HTTPHeader("x-goog-storage-class", storageClass)) }
        return headers + lockHeaders(of: key)
    }

    /// The CRC-32C that the server has computed, of `crc32c=…,md5=…`; nil where it tells none, or where each stands in a header of its own and the
    /// other one came last.
    static func checksum(_ response: HTTPResponse) -> String? {
        response["x-goog-hash"]?.split(separator: ",").map { $0.drop { $0 == " " } }.first { $0.hasPrefix("crc32c=") }.map { String($0.dropFirst(7)) }
    }

    func page(_ prefix: String, delimiter: String?, continuation: String?) throws(RepoError) -> ListPage {
        try ListPage(s3: connection.send(ListPage.s3Request(self.prefix, prefix, delimiter, continuation, options), to: .memory(atMost: 16 << 20)).body)
    }
}
