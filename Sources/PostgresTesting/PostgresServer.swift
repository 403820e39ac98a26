import Glibc
import RepoBase

/// A real PostgreSQL server for tests: its own cluster and socket in a folder of its own, no TCP, stopped and removed by `remove`.
///
/// As root everything runs as the user `postgres`, since PostgreSQL refuses to run as root.
public final class PostgresServer {
    /// Where `initdb`, `pg_ctl` and `psql` are: the newest of Debian's, or `$POSTGRES_BIN`.
    public static let binaries: String = {
        if let path = getenv("POSTGRES_BIN") { return String(cString: path) }
        for version in (13...30).reversed() where access("/usr/lib/postgresql/\(version)/bin/initdb", X_OK) == 0 {
            return "/usr/lib/postgresql/\(version)/bin"
        }
        return "/usr/lib/postgresql/15/bin"
    }()

    /// Short, since a socket's path has at most 107 bytes.
    public let folder: String
    public let data: String
    /// What libpq needs to reach it, as the superuser `postgres`.
    public var connectionString: String { "host=\(folder) user=postgres dbname=postgres" }
    public private(set) var isRunning = false
    /// Variables that it is started with: `["NAME=value"]`.
    public var environment: [String] = []

    /// - Parameters:
    ///   - initdb: further arguments, as `["--wal-segsize=1"]` or `["--data-checksums"]`.
    ///   - settings: lines of `postgresql.conf`.
    public init(initdb arguments: [String] = [], settings: [String] = []) throws {
        folder = try Self.makeFolder()
        data = folder + "/data"
        try Self.run(
            [Self.binaries + "/initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
                + arguments)
        try append(
            "postgresql.conf",
            ["listen_addresses = ''", "unix_socket_directories = '\(folder)'", "fsync = off", "logging_collector = off"] + settings)
        try append("pg_hba.conf", ["local replication all trust"])
    }

    /// A server on files that are there already, as a restore made them; `settings` are added to them.
    public init(adopting data: String, settings: [String] = []) throws {
        folder = try Self.makeFolder()
        self.data = data
        try append(
            "postgresql.conf", ["listen_addresses = ''", "unix_socket_directories = '\(folder)'", "fsync = off"] + settings)
    }

    /// A folder that belongs to the user whom the server runs as.
    public static func makeFolder() throws -> String {
        var template = Array("/tmp/pgt.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw failure("mkdtemp", "\(errno)") }
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        LeftServers.note(path)
        try own(path)
        return path
    }

    /// Gives a file or folder to the user whom the server runs as.
    public static func own(_ path: String) throws {
        guard geteuid() == 0 else { return }
        try run(["/bin/chown", "-R", "postgres:", path], asServer: false)
    }

    public func append(_ file: String, _ lines: [String]) throws {
        let text = lines.map { $0 + "\n" }.joined()
        guard let stream = fopen("\(data)/\(file)", "a") else { throw Self.failure("open \(file)", "errno \(errno)") }
        fputs(text, stream)
        fclose(stream)
    }

    public func start(wait: Bool = true) throws {
        try Self.run(
            (environment.isEmpty ? [] : ["/usr/bin/env"] + environment)
                + [Self.binaries + "/pg_ctl", "-D", data, "-l", folder + "/log", wait ? "-w" : "-W", "-t", "60", "start"])
        isRunning = true
    }

    /// - Parameter mode: `fast`, `immediate` (as a crash), or `smart`.
    public func stop(mode: String = "fast") throws {
        try Self.run([Self.binaries + "/pg_ctl", "-D", data, "-m", mode, "-w", "-t", "60", "stop"])
        isRunning = false
    }

    /// For a test that has killed it.
    public func wasKilled() { isRunning = false }

    public func promote() throws { try Self.run([Self.binaries + "/pg_ctl", "-D", data, "-w", "promote"]) }

    /// Runs SQL by psql and returns its output, unaligned, without headings; fails at the first error.
    @discardableResult
    public func sql(_ text: String, database: String = "postgres") throws -> String {
        try Self.run(
            [
                Self.binaries + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "postgres", "-d", database,
                "-c", text,
            ])
    }

    /// What the server wrote to its log.
    public func log() -> String { (try? Self.run(["/bin/cat", folder + "/log"])) ?? "" }

    /// Stops it at once where it runs, and removes everything.
    public func remove() {
        if isRunning { try? stop(mode: "immediate") }
        _ = try? Self.run(["/bin/rm", "-rf", folder], asServer: false)
    }

    /// Runs a program as the server's user and returns what it wrote. Throws `.failed` with its messages when it does not exit with 0.
    @discardableResult
    public static func run(_ command: [String], asServer: Bool = true) throws -> String {
        let outputPath = "/tmp/pgt-output.\(getpid()).\(UInt64.random(in: 0 ... .max))"
        defer { unlink(outputPath) }
        let process = try ServerProcess(command, output: outputPath, asServer: asServer)
        let status = process.wait()
        let output = readAll(outputPath)
        guard status == 0 else { throw failure(command.joined(separator: " "), output) }
        return output.hasSuffix("\n") ? String(output.dropLast()) : output
    }

    private static func readAll(_ path: String) -> String {
        guard let stream = fopen(path, "r") else { return "" }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    static func failure(_ what: String, _ why: String) -> RepoError { RepoError(.failed, "\(what) failed: \(why)") }
}
