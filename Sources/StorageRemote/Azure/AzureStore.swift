public import RepoBase
public import Storage

/// A container of Azure Blob Storage, or a part of one below a prefix, as a store.
///
/// An object is a block blob, put by one request or as blocks where it is large; create-only by `If-None-Match: *`. Every body goes with its MD5,
/// which the service compares. Listings, reads and deletions are those of `RemoteStore`.
public final class AzureStore: RemoteStore {
    public let location: String
    let connection: RemoteConnection
    let prefix: String
    let options: RemoteOptions
    let clock: StoreClock
    public let lock: ObjectLock?
    private let storageClass: String?

    /// Sends nothing yet. Throws `.usage` for settings that contradict each other.
    /// - Parameter variable: of the environment.
    public init(
        _ location: AzureLocation, environment variable: @escaping StoreEnvironment, options: RemoteOptions = .init(), clock: StoreClock = .system
    ) throws(RepoError) {
        let machine = HTTPClient(.init(usesProxies: false))
        let client = HTTPClient(.init(certificates: location.certificates))
        let cache = CredentialCache<AzureCredentials>(
            [
                AzureEnvironmentCredentials(variable: variable), EntraCredentials(variable: variable, client: HTTPClient(), now: clock.now),
                ManagedIdentityCredentials(variable: variable, client: machine, now: clock.now),
            ], for: "Azure Blob Storage",
            advice: "Set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.", now: clock.now)
        connection = RemoteConnection(
            try AzureDialect(location, variable, cache), location: location.description, client: client, now: clock.now)
        self.location = location.description
        prefix = location.prefix
        storageClass = location.storageClass
        lock = location.lock
        var options = options
        options.listsTwice = location.listsTwice ?? options.listsTwice
        self.options = options
        self.clock = clock
    }

    /// The variables of the environment that decide where requests go and what they are authorised by.
    public static let variables = [
        "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    ]

    /// Requests sent so far, to know what an operation costs.
    public var requestCount: Int { connection.requestCount }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        do {
            try putOnce(key, bytes, mode)
        } catch let error as RepoError where error.code == .conflict && lock != nil {
            // The name of an object that is being deleted, or whose deletion broke off, is free.
            guard try removeMark(key) else { throw error }
            try putOnce(key, bytes, mode)
        }
    }

    private func putOnce(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        if bytes.count > options.largestSinglePut { return try putInBlocks(key, bytes, mode) }
        var request = RemoteRequest(.put, path(key), "store \(key)")
        request.headers =
            tier(of: key) + lockHeaders(of: key) + [HTTPHeader("x-ms-blob-type", "BlockBlob"), HTTPHeader("Content-Type", "application/octet-stream")]
        request.body = bytes
        try send(request, key, mode)
    }

    private func tier(of key: StoreKey) -> [HTTPHeader] {
        guard let storageClass, key.description.hasPrefix("packs/") else { return [] }
        return [HTTPHeader("x-ms-access-tier", storageClass)]
    }

    /// The step that makes an object.
    private func send(_ request: RemoteRequest, _ key: StoreKey, _ mode: PutMode) throws(RepoError) {
        var request = request
        let checksum = Digests.base64(Digests.md5(request.body))
        request.headers.append(HTTPHeader("Content-MD5", checksum))
        request.accepted = [201, 409]
        if mode == .create {
            request.headers.append(HTTPHeader("If-None-Match", "*"))
            request.accepted += [412]
            // Without a body nothing tells that a request went out twice.
            request.needsFreshConnection = request.body.isEmpty
        }
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        switch (response.status, ErrorAnswer(response).code) {
        case (201, _): try requireChecksum(response["content-md5"], checksum, key)
        case (409, "BlobAlreadyExists"), (412, "ConditionNotMet"), (412, "TargetConditionNotMet"), (412, ""):
            guard !response.wasResent else { throw uncertain(request) }
            throw StoreError.conflict(key, in: location)
        case (409, let code) where code.contains("Immutab") && !connection.dialect.words.locked.contains(code):
            throw RepoError(.refused, connection.error(request, response).message, advice: "Run 'repo storage probe'; see docs/stores.md, \"Object lock\".")
        default: throw connection.error(request, response)
        }
    }

    // MARK: - Blocks

    /// Blocks travel at once and become a blob in one step, which is create-only too. Writers of one name share its blocks that are not in a blob yet,
    /// so ids begin with a number of this put's own. What a broken put leaves is thrown away by the service after a week, and is told in no listing
    /// (Put Block, Put Block List of the Azure Storage REST reference).
    private func putInBlocks(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        // A blob has 50,000 blocks at most.
        let size = max(options.partBytes, (bytes.count + 49_999) / 50_000)
        let count = (bytes.count + size - 1) / size
        let nonce = Digests.hex(withUnsafeBytes(of: UInt64.random(in: 0 ... .max)) { Array($0) })
        let ids = (0..<count).map { Digests.base64(Array((nonce + Self.padded($0)).utf8)) }
        // The caller keeps the bytes alive until all threads have been joined.
        nonisolated(unsafe) let bytes = bytes
        _ = try ParallelWork.map(count, threads: options.partThreads) { index throws(RepoError) in
            try self.putBlock(key, ids[index], index, UnsafeRawBufferPointer(rebasing: bytes[index * size..<min(bytes.count, (index + 1) * size)]))
        }
        let document = Array("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>\(ids.map { "<Latest>\($0)</Latest>" }.joined())</BlockList>".utf8)
        try document.withUnsafeBytes { document in
            var request = RemoteRequest(.put, path(key), "store \(key)")
            request.query = [("comp", "blocklist")]
            request.headers = tier(of: key) + lockHeaders(of: key) + [
                HTTPHeader("x-ms-blob-content-type", "application/octet-stream"), HTTPHeader("Content-Type", "application/xml"),
            ]
            request.body = document
            request.limits.stall = .seconds(600)
            do {
                try send(request, key, mode)
            } catch let error as RepoError where error.code == .failed {
                // Who made the blob meanwhile took all blocks of the name that were not in one.
                guard mode == .create, try stat(key) != nil else { throw error }
                throw StoreError.conflict(key, in: location)
            }
        }
    }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }

    private func putBlock(_ key: StoreKey, _ id: String, _ index: Int, _ bytes: UnsafeRawBufferPointer) throws(RepoError) {
        let checksum = Digests.base64(Digests.md5(bytes))
        var request = RemoteRequest(.put, path(key), "store block \(index + 1) of \(key)")
        request.query = [("comp", "block"), ("blockid", id)]
        request.headers = [HTTPHeader("Content-MD5", checksum)]
        request.body = bytes
        request.accepted = [201]
        let block = request
        try retryingPart { () throws(RepoError) in
            let response = try connection.send(block, to: .memory(atMost: 64 << 10))
            try requireChecksum(response["content-md5"], checksum, key)
        }
    }

    func page(_ prefix: String, delimiter: String?, continuation: String?) throws(RepoError) -> ListPage {
        var request = RemoteRequest(.get, "", "list '\(prefix)'")
        request.query = [("restype", "container"), ("comp", "list"), ("include", "metadata"), ("maxresults", "\(options.pageKeys)")]
        if !(self.prefix + prefix).isEmpty { request.query.append(("prefix", self.prefix + prefix)) }
        if let delimiter { request.query.append(("delimiter", delimiter)) }
        if let continuation { request.query.append(("marker", continuation)) }
        request.accepted = [200]
        return try ListPage(azure: connection.send(request, to: .memory(atMost: 16 << 20)).body)
    }
}
