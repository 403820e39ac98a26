import CLinux
import Glibc
public import RepoBase

/// A child whose standard output is a pipe of ours.
public struct ChildProcess {
    public enum Status: Hashable, Sendable {
        /// With this code.
        case exited(Int32)
        /// By this signal.
        case signalled(Int32)
    }

    /// Where to read what it writes; closed by `wait`.
    public let output: CInt
    private let identifier: pid_t
    private var status: Status?

    /// Starts the program, found by PATH, with its arguments; its standard input and error are ours. Throws `.sourceFailed`.
    public init(_ command: [String]) throws(RepoError) {
        var ends: [CInt] = [0, 0]
        guard linux_pipe_cloexec(&ends) == 0 else { throw Self.failure(command[0], errno) }
        // As large as an unprivileged process may have (fs.pipe-max-size): fewer switches between the two.
        _ = fcntl(ends[0], 1031 /* F_SETPIPE_SZ */, 1 << 20)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        // The command's end is not ours: signals that we block or ignore are its own to handle.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var all = sigset_t()
        sigemptyset(&all)
        posix_spawnattr_setsigmask(&attributes, &all)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&all, signal) }
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let result = posix_spawnp(&child, command[0], &actions, &attributes, &arguments, environ)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            throw Self.failure(command[0], result)
        }
        output = ends[0]
        identifier = child
    }

    private static func failure(_ program: String, _ status: CInt) -> RepoError {
        RepoError(
            .sourceFailed, "'\(program)' cannot be started: \(String(cString: strerror(status)))",
            advice: "Check its name and PATH. No snapshot was made.")
    }

    /// Closes the pipe and waits for its end.
    public mutating func wait() -> Status {
        if let status { return status }
        close(output)
        var raw: CInt = 0
        while waitpid(identifier, &raw, 0) < 0, errno == EINTR {}
        let signal = raw & 0x7F
        let ended: Status = signal == 0 ? .exited((raw >> 8) & 0xFF) : .signalled(signal)
        status = ended
        return ended
    }

    /// Ends it if it still runs.
    public mutating func kill() {
        guard status == nil else { return }
        _ = Glibc.kill(identifier, SIGTERM)
        _ = wait()
    }
}
