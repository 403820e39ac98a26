import Glibc
import RepoBase

/// Folders of servers that a run of tests has made. What is left of them when it ends, as of servers that several tests share, goes then: nothing
/// else ever ends those.
enum LeftServers {
    private static let folders = Monitor<[String]>([])
    private static let atEnd: Void = { atexit { LeftServers.clear() } }()

    static func note(_ folder: String) {
        atEnd
        folders.withLock { $0.append(folder) }
    }

    private static func clear() {
        for folder in folders.withLock({ $0 }) where access(folder, F_OK) == 0 {
            end(folder + "/data/postmaster.pid")
            _ = try? PostgresServer.run(["/bin/rm", "-rf", folder], asServer: false)
        }
    }

    /// By the signal for an immediate shutdown; waits for it at most 5 s.
    private static func end(_ file: String) {
        guard let stream = fopen(file, "r") else { return }
        defer { fclose(stream) }
        var process: pid_t = 0
        guard withUnsafeMutablePointer(to: &process, { pointer in withVaList([pointer]) { vfscanf(stream, "%d", $0) } }) == 1, process > 1 else { return }
        guard kill(process, SIGQUIT) == 0 else { return }
        for _ in 0..<100 where kill(process, 0) == 0 { usleep(50_000) }
    }
}
