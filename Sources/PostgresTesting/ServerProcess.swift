public import Glibc
import RepoBase

/// A program that runs beside a test, as the server's user where the test runs as root; ended by `wait` or `kill`.
public final class ServerProcess {
    public let process: pid_t
    private var status: CInt?

    /// - Parameters:
    ///   - output: where its standard output and error go.
    ///   - input: what it reads; nothing by default.
    public init(_ command: [String], output: String, input: String = "/dev/null", asServer: Bool = true) throws {
        var words = command
        // PostgreSQL's programs complain of a working directory that their user may not enter, as a clone in root's home is.
        if asServer, geteuid() == 0 {
            words = ["/usr/bin/env", "--chdir=/", "/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] + words
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Threads of tests have signals blocked, alarms among them: 'pgbench -T' would never end, and a server not notice its children.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, words[0], &actions, &attributes, &pointers, environ)
        guard code == 0 else { throw PostgresServer.failure(words[0], String(cString: strerror(code))) }
        self.process = process
    }

    /// Waits for its end; the status as waitpid(2) has it, 0 for success.
    @discardableResult
    public func wait() -> CInt {
        if let status { return status }
        var found: CInt = 0
        while waitpid(process, &found, 0) < 0, errno == EINTR {}
        status = found
        return found
    }

    public func kill(_ signal: CInt = SIGKILL) { if status == nil { _ = Glibc.kill(process, signal) } }

    deinit {
        kill()
        wait()
    }
}
