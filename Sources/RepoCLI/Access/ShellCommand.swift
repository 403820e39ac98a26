import CLinux
import Glibc
import RepoBase

/// Runs a line of /bin/sh for what it prints.
enum ShellCommand {
    /// Throws `.usage` unless it exits with 0. Its standard input and error are ours.
    static func output(_ line: String, _ what: String) throws(RepoError) -> [UInt8] {
        var ends: [CInt] = [0, 0]
        guard linux_pipe_cloexec(&ends) == 0 else { throw failure(what, String(cString: strerror(errno))) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        // Signals that we block or ignore are the command's own to handle.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let words = ["sh", "-c", line]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let started = posix_spawn(&child, "/bin/sh", &actions, &attributes, &arguments, environ)
        close(ends[1])
        defer { close(ends[0]) }
        guard started == 0 else { throw failure(what, String(cString: strerror(started))) }
        let output = Result { () throws(RepoError) in
            try LocalFile.read(ends[0], line, what, limit: 1 << 20)
        }
        var status: CInt = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            throw failure(
                what, status & 0x7F == 0 ? "it exited with \((status >> 8) & 0xFF)" : "it was killed")
        }
        return try output.get()
    }

    private static func failure(_ what: String, _ why: String) -> RepoError {
        RepoError(.usage, "\(what) failed: \(why)")
    }
}
