import Glibc
import RepoBase
import Storage
public import StorageRemote

/// moto's S3 server on loopback: the one with archival tiers, from which an object can only be read after it was asked for. It keeps all in memory, verifies no
/// signatures and is no proof of anything else.
public final class ArchivingServer: Sendable {
    public static let bucket = "archive"

    private let process: ServerProcess
    public let port: Int

    private static let shared = Result { try ArchivingServer() }

    /// The one that tests share; it ends with the process.
    public static func running() throws -> ArchivingServer { try shared.get() }

    /// One of its own, for a test that says how long objects take.
    public init() throws {
        let folder = try ServerProcess.makeFolder("moto")
        let port = try Loopback.freePorts(1)[0]
        process = try ServerProcess("moto_server", folder: folder, ["-H", "127.0.0.1", "-p", "\(port)"])
        self.port = port
        let removal = ServerRemoval(process)
        try process.wait { (try? store("").createBucket()) != nil }
        removal.keep()
    }

    public func stop() { process.stop() }

    /// What was asked for is there after so many looks at it; 0: at once.
    public func setLooksUntilThere(_ looks: Int) throws {
        let progression = looks == 0 ? "{\"progression\": \"immediate\"}" : "{\"progression\": \"manual\", \"times\": \(looks)}"
        let body = "{\"model_name\": \"s3::keyrestore\", \"transition\": \(progression)}"
        let request =
            "POST /moto-api/state-manager/set-transition HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nContent-Type: application/json\r\n"
            + "Connection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        guard let socket = Loopback.connect(port) else { throw RepoError(.failed, "moto does not answer") }
        defer { close(socket) }
        let bytes = Array(request.utf8)
        guard write(socket, bytes, bytes.count) == bytes.count else { throw RepoError(.failed, "moto does not listen") }
        var answer = [UInt8](repeating: 0, count: 4096)
        let count = read(socket, &answer, answer.count)
        guard count > 0, String(decoding: answer[..<count], as: UTF8.self).hasPrefix("HTTP/1.1 20") else {
            throw RepoError(.failed, "moto refuses: \(String(decoding: answer[..<max(0, count)], as: UTF8.self))")
        }
    }

    /// - Parameter options: behind the question mark.
    public func location(_ prefix: String, options: String = "") -> String {
        "s3:http://127.0.0.1:\(port)/\(Self.bucket)/\(prefix)" + (options.isEmpty ? "" : "?" + options)
    }

    /// - Parameter location: options of the location.
    public func store(_ prefix: String = SeaweedServer.uniquePrefix(), location: String = "") throws -> S3Store {
        let location = try S3Location(parsing: String(self.location(prefix, options: location).dropFirst(3)))
        return try S3Store(location, environment: { SeaweedServer.environment[$0] })
    }
}
