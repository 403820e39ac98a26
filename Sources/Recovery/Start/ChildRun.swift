import CLinux
import Glibc
import RepoBase

/// Runs a program to its end.
enum ChildRun {
    struct Outcome {
        /// Its exit status; 128 and the signal's number for one that a signal ended.
        var status: Int32
        /// Both streams, the last 64 KiB of them.
        var output: String
    }

    /// - Parameters:
    ///   - user: whom it runs as; nil: as we do. Needs root and setpriv (util-linux).
    ///   - folder: its working directory.
    /// Throws `.failed` when it cannot be started.
    static func run(_ command: [String], as user: FileOwner? = nil, in folder: String = "/") throws(RepoError) -> Outcome {
        var words = ["/usr/bin/env", "-C", folder] + command
        if let user, geteuid() == 0, user.user != 0 {
            words = ["/usr/bin/setpriv", "--reuid=\(user.user)", "--regid=\(user.group)", initialGroups(user), "--"] + words
        }
        var ends: [CInt] = [0, 0]
        guard linux_pipe_cloexec(&ends) == 0 else { throw failure(command[0], errno) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        // Signals that we block or ignore are the child's own to handle.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let code = posix_spawnp(&process, words[0], &actions, &attributes, &arguments, environ)
        close(ends[1])
        guard code == 0 else { throw failure(words[0], code) }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            output = (output + buffer[..<count]).suffix(1 << 16)
        }
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        var text = String(decoding: output, as: UTF8.self)
        while text.last == "\n" { text.removeLast() }
        return Outcome(status: signal == 0 ? (status >> 8) & 0xFF : 128 + signal, output: text)
    }

    static func initialGroups(_ user: FileOwner) -> String {
        // Groups of a user by its name; one that the machine does not know has none.
        getpwuid(user.user) == nil ? "--clear-groups" : "--init-groups"
    }

    private static func failure(_ program: String, _ code: CInt) -> RepoError {
        RepoError(.failed, "'\(program)' cannot be started: \(String(cString: strerror(code)))")
    }
}
