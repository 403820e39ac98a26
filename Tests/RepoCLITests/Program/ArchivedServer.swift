import Foundation
import PostgresTesting
import RepoBase
import Testing

/// A real server that archives into a repository by the real program, as users set it up.
final class ArchivedServer {
    let server: PostgresServer
    let folder: ProgramFolder
    /// The program where the server's user may run it.
    let program: String

    /// - Parameters:
    ///   - options: of `repo wal push`.
    ///   - archives: whether the server pushes its log.
    init(initdb: [String] = ["--wal-segsize=1"], settings: [String] = [], options: String = "", archives: Bool = true) throws {
        folder = try ProgramFolder()
        program = folder.path + "/repo"
        // By a process of its own: a child that another test starts meanwhile would hold the file open for writing, and it could not be run.
        try PostgresServer.run(["/bin/cp", try #require(ProgramUnderTest.path), program], asServer: false)
        try PostgresServer.own(folder.path)
        server = try PostgresServer(initdb: initdb, settings: settings)
        try server.append(
            "postgresql.conf",
            ["archive_mode = \(archives ? "on" : "off")", "archive_command = '\(command("wal push \(options) %p"))'", "autovacuum = off"])
    }

    deinit { server.remove() }

    /// A shell command that runs the program on the repository.
    func command(_ arguments: String, repository: String? = nil) -> String {
        "REPO_CONFIG=/dev/null REPO_URL=\(repository ?? folder.repository) REPO_KEY_FILE=\(folder.path)/machine.key "
            + "REPO_CACHE_DIR=\(folder.path)/cache \(program) \(arguments)"
    }

    /// Runs the program as the server's user.
    @discardableResult
    func run(_ arguments: String, in directory: String? = nil, repository: String? = nil) throws -> String {
        try PostgresServer.run(["/bin/sh", "-c", "cd \(directory ?? "/") && \(command(arguments, repository: repository))"])
    }

    /// Ends the current segment and waits until it is archived. Returns its name.
    @discardableResult
    func archiveAll(_ server: PostgresServer? = nil) throws -> String {
        let server = server ?? self.server
        let name = try server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        try server.sql("SELECT pg_switch_wal()")
        for _ in 0..<600 {
            if try server.sql("SELECT coalesce(last_archived_wal, '') >= '\(name)' FROM pg_stat_archiver") == "t" { return name }
            usleep(50_000)
        }
        throw RepoError(.failed, "\(name) was not archived\n\(server.log())")
    }

    /// A base backup by PostgreSQL's own means, set up to recover from the archive.
    func restoredServer(settings: [String]) throws -> PostgresServer {
        let data = try PostgresServer.makeFolder() + "/data"
        try PostgresServer.run(
            [
                PostgresServer.binaries + "/pg_basebackup", "-h", server.folder, "-U", "postgres", "-D", data, "-X", "none", "-c", "fast",
                "--no-sync",
            ])
        let restored = try PostgresServer(adopting: data, settings: ["restore_command = '\(command("wal get %f %p"))'"] + settings)
        try PostgresServer.run(["/usr/bin/touch", data + "/recovery.signal"])
        return restored
    }

    /// Restores by the program, as the server's user; its exit status, and what it said.
    ///
    /// - Parameter repository: another than the server's own.
    func restore(_ arguments: String, into cluster: RecoveredCluster, repository: String? = nil) throws -> (status: Int, output: String) {
        let text = try PostgresServer.run(
            [
                "/bin/sh", "-c",
                "export REPO_CONFIG=/dev/null REPO_URL=\(repository ?? folder.repository) REPO_KEY_FILE=\(folder.path)/machine.key "
                    + "REPO_CACHE_DIR=\(folder.path)/cache; \(program) restore --target \(cluster.data) "
                    + "--server-options '\(cluster.serverOptions)' --json \(arguments) 2>&1; echo \"status $?\"",
            ])
        let lines = text.split(separator: "\n")
        let status = Int(lines.last?.dropFirst("status ".count) ?? "") ?? -1
        if status == 0, arguments.contains("--start") { cluster.adopt(running: !arguments.contains("--action shutdown")) }
        return (status, lines.dropLast().joined(separator: "\n"))
    }

    /// The program's exit status beside what it said.
    func outcome(_ arguments: String, in directory: String? = nil, repository: String? = nil) throws -> (status: Int, output: String) {
        let lines = try run("\(arguments) 2>&1; echo \"status $?\"", in: directory, repository: repository).split(separator: "\n")
        return (Int(lines.last?.dropFirst("status ".count) ?? "") ?? -1, lines.dropLast().joined(separator: "\n"))
    }

    /// A base backup of it, or of another server.
    func snapshot(_ server: PostgresServer? = nil, options: String = "") throws {
        try run("snapshot postgres --dsn '\((server ?? self.server).connectionString)' --name main-db --quiet \(options)")
    }
}
