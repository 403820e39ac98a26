import Foundation
import PostgresTesting
import RepoBase
import Testing

/// A cluster that `repo restore --start` brought up: asked, stopped and removed.
final class RecoveredCluster {
    let folder: String
    var data: String { folder + "/data" }
    private(set) var isRunning = false

    init() throws { folder = try PostgresServer.makeFolder() }

    deinit { remove() }

    /// What the server needs to be beside others.
    var serverOptions: String { "-c unix_socket_directories=\(folder) -c fsync=off" }

    func adopt(running: Bool) { isRunning = running }

    func sql(_ text: String) throws -> String {
        try PostgresServer.run(
            [
                PostgresServer.binaries + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "postgres", "-d",
                "postgres", "-c", text,
            ])
    }

    func start(_ options: String = "") throws {
        try PostgresServer.run(
            [
                PostgresServer.binaries + "/pg_ctl", "-D", data, "-l", folder + "/log", "-w", "-t", "60", "-o", serverOptions + " " + options,
                "start",
            ])
        isRunning = true
    }

    func stop() throws {
        guard isRunning else { return }
        try PostgresServer.run([PostgresServer.binaries + "/pg_ctl", "-D", data, "-m", "immediate", "-w", "-t", "60", "stop"])
        isRunning = false
    }

    func remove() {
        try? stop()
        _ = try? PostgresServer.run(["/bin/rm", "-rf", folder], asServer: false)
    }
}
