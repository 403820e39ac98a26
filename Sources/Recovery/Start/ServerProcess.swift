import CLinux
import Glibc
import RepoBase

/// A server that is our own child, started without pg_ctl: it ends with us, whatever ends us.
///
/// It runs in a session of its own, so that an interrupt from the terminal reaches us alone, and the kernel sends it SIGQUIT when the thread that
/// started it ends (PR_SET_PDEATHSIG, prctl(2)): so that has to be one that lives as long as the server is wanted.
final class ServerProcess: Sendable {
    private struct State {
        var process: pid_t?
        var hasEnded = false
    }

    private let program: String
    private let data: String
    /// Where its messages go.
    let log: String
    private let owner: FileOwner
    private let state = Monitor(State())

    /// - Parameter program: `postgres`.
    init(_ program: String, data: String, log: String, owner: FileOwner) {
        (self.program, self.data, self.log, self.owner) = (program, data, log, owner)
    }

    private static let setpriv = "/usr/bin/setpriv"

    /// Throws `.failed` when it cannot be started; that the server ends soon after is told by `hasEnded`.
    func start(_ arguments: [String]) throws(RepoError) {
        var words = ["/usr/bin/env", "-C", "/", program, "-D", data] + arguments
        if access(Self.setpriv, X_OK) == 0 {
            var launcher = [Self.setpriv, "--pdeathsig", "QUIT"]
            if geteuid() == 0, owner.user != 0 {
                launcher += ["--reuid=\(owner.user)", "--regid=\(owner.group)", ChildRun.initialGroups(owner)]
            }
            words = launcher + ["--"] + words
        }
        let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard output >= 0 else { throw TextFile.failure("write", log) }
        defer { close(output) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        // POSIX_SPAWN_SETSID is 0x80 in glibc's spawn.h.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | 0x80))
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, words[0], &actions, &attributes, &arguments, environ)
        guard code == 0 else { throw RepoError(.failed, "'\(words[0])' cannot be started: \(String(cString: strerror(code)))") }
        state.withLock { $0 = State(process: process) }
    }

    /// Whether there is none, or no more.
    var hasEnded: Bool { state.withLock { Self.reap(&$0) } }

    private static func reap(_ state: inout State) -> Bool {
        guard let process = state.process, !state.hasEnded else { return true }
        var status: CInt = 0
        var result = waitpid(process, &status, WNOHANG)
        while result < 0, errno == EINTR { result = waitpid(process, &status, WNOHANG) }
        state.hasEnded = result != 0
        return state.hasEnded
    }

    /// Asks it to end: SIGINT for an orderly end (a fast shutdown), SIGQUIT for an immediate one.
    func send(_ signal: CInt) {
        state.withLock { state in
            // Not reaped yet, so the number is still its own.
            if !Self.reap(&state), let process = state.process { kill(process, signal) }
        }
    }

    /// Waits for its end; whether it has ended. Looks fifty times a second.
    func wait(seconds: Double) -> Bool {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while !hasEnded {
            if ContinuousClock.now > deadline { return false }
            usleep(20_000)
        }
        return true
    }

    /// Ends it now, whatever state it is in.
    func end() {
        send(SIGQUIT)
        if wait(seconds: 10) { return }
        send(SIGKILL)
        _ = wait(seconds: 10)
    }

    /// Ends a server of a run that was killed.
    static func end(runningIn data: String) {
        for (signal, seconds) in [(SIGQUIT, 10.0), (SIGKILL, 10.0)] {
            guard let process = ClusterTarget.runningServer(data) else { return }
            kill(process, signal)
            let deadline = ContinuousClock.now + .seconds(seconds)
            while ClusterTarget.runningServer(data) == process, ContinuousClock.now < deadline { usleep(20_000) }
        }
    }
}
