import Glibc
import RepoBase
public import Storage
public import StorageRemote

/// SeaweedFS's S3 server on loopback, with credentials enforced and one bucket: a real server that keeps what the contract asks for.
///
/// Starting it takes some seconds, so tests share one and take a prefix of the bucket each.
public final class SeaweedServer: Sendable {
    public static let bucket = "repo"
    /// One that keeps versions and locks them where it is asked to.
    public static let lockingBucket = "repo-locked"
    public static let accessKey = "testadmin"
    public static let secretKey = "testsecret"
    /// Credentials that may read and list, and nothing else.
    public static let readerKey = "testreader"
    public static let readerSecret = "readersecret"

    private let process: ServerProcess
    public let port: Int

    private static let shared = Result { try SeaweedServer() }

    /// The one that tests share; it ends with the process.
    public static func running() throws -> SeaweedServer { try shared.get() }

    /// One of its own, for a test that ends it or makes it hang.
    public init() throws {
        let folder = try ServerProcess.makeFolder("seaweed")
        let ports = try Loopback.freePorts(8)
        let identities = [(Self.accessKey, Self.secretKey, "\"Admin\", \"Read\", \"Write\", \"List\""), (Self.readerKey, Self.readerSecret, "\"Read\", \"List\"")]
            .map { "{\"name\": \"\($0)\", \"credentials\": [{\"accessKey\": \"\($0)\", \"secretKey\": \"\($1)\"}], \"actions\": [\($2)]}" }
        try ServerProcess.write("{\"identities\": [\(identities.joined(separator: ", "))]}", to: folder + "/s3.json")
        mkdir(folder + "/data", 0o700)
        var arguments = ["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=512", "-volume.max=20"]
        arguments += ["-filer", "-s3", "-s3.config=s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"]
        for (name, port) in zip(["master", "volume", "filer", "s3"], ports) { arguments.append("-\(name).port=\(port)") }
        for (name, port) in zip(["master", "volume", "filer", "s3"], ports[4...]) { arguments.append("-\(name).port.grpc=\(port)") }
        process = try ServerProcess("weed", folder: folder, arguments)
        port = ports[3]
        let removal = ServerRemoval(process)
        try process.wait { (try? store("").createBucket()) != nil }
        // Volumes come a moment after the bucket.
        try process.wait {
            let ready = StoreKey("ready")
            return (try? store("start").put(ready, [1], .replace)) != nil
        }
        try store("", bucket: Self.lockingBucket).createBucket(locking: true)
        removal.keep()
    }

    public func stop() { process.stop() }
    public func pause() { process.pause() }
    public func resume() { process.resume() }

    /// What the environment of a program says to reach it.
    public static var environment: [String: String] {
        ["AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_EC2_METADATA_DISABLED": "true"]
    }

    /// A location in one of its buckets.
    /// - Parameter options: behind the question mark.
    public func location(_ prefix: String, port: Int? = nil, bucket: String = bucket, options: String = "") -> String {
        "s3:http://127.0.0.1:\(port ?? self.port)/\(bucket)/\(prefix)" + (options.isEmpty ? "" : "?" + options)
    }

    /// A prefix that no other test uses.
    public static func uniquePrefix() -> String { "t" + String(UInt64.random(in: 0 ... .max), radix: 36) }

    /// - Parameters:
    ///   - port: of a proxy before it.
    ///   - location: options of the location.
    public func store(
        _ prefix: String = uniquePrefix(), port: Int? = nil, bucket: String = bucket, location: String = "", options: S3Store.Options = .init(),
        environment: [String: String] = environment
    ) throws -> S3Store {
        let location = try S3Location(parsing: String(self.location(prefix, port: port, bucket: bucket, options: location).dropFirst(3)))
        return try S3Store(location, environment: { environment[$0] }, options: options)
    }

    /// `2026-11-20T03:00:00Z`
    public static func time(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var fields = tm()
        gmtime_r(&time, &fields)
        var text = [CChar](repeating: 0, count: 32)
        strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &fields)
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// A store that cannot be written to, as of a moment: seconds since 1970.
    public func past(_ prefix: String, _ moment: Int64, bucket: String = lockingBucket, options: S3Store.Options = .init()) throws -> any Store {
        let time = Self.time(moment)
        let location = try S3Location(parsing: String(self.location(prefix, bucket: bucket, options: "as-of=\(time)").dropFirst(3)))
        return try S3Store.open(location, environment: { Self.environment[$0] }, options: options)
    }
}

/// `rclone serve s3` on loopback: a server that takes a create-only put for an ordinary one.
public final class RcloneServer: Sendable {
    private let process: ServerProcess
    public let port: Int

    public init() throws {
        let folder = try ServerProcess.makeFolder("rclone")
        let port = try Loopback.freePorts(1)[0]
        mkdir(folder + "/data", 0o700)
        mkdir(folder + "/data/repo", 0o700)
        process = try ServerProcess(
            "rclone", folder: folder,
            ["serve", "s3", "data", "--addr", "127.0.0.1:\(port)", "--auth-key", "\(SeaweedServer.accessKey),\(SeaweedServer.secretKey)", "--config", "/dev/null"])
        self.port = port
        let removal = ServerRemoval(process)
        try process.wait {
            guard let socket = Loopback.connect(port) else { return false }
            close(socket)
            return true
        }
        removal.keep()
    }

    public func stop() { process.stop() }

    public var location: String { "s3:http://127.0.0.1:\(port)/repo/" + SeaweedServer.uniquePrefix() }
}

/// Ends a server and removes its folder: at once where starting it failed, otherwise when the process exits.
final class ServerRemoval {
    private static let running = Monitor<[ServerProcess]>([])
    private static let atExit: Void = {
        atexit { ServerRemoval.endAll() }
    }()

    private let process: ServerProcess
    private var isKept = false

    init(_ process: ServerProcess) { self.process = process }

    func keep() {
        isKept = true
        _ = Self.atExit
        Self.running.withLock { $0.append(process) }
    }

    deinit { if !isKept { Self.end(process) } }

    private static func endAll() { for process in running.withLock({ $0 }) { end(process) } }

    private static func end(_ process: ServerProcess) {
        process.stop()
        ServerProcess.removeFolder(process.folder)
    }
}
