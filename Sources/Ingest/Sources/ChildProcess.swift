import CLinux
import Glibc
public import RepoBase

/// A child whose standard output is a pipe of ours, and where asked for its standard input too.
///
/// One thread reads and waits; any other may end it meanwhile.
public final class ChildProcess: Sendable {
    public enum Status: Hashable, Sendable {
        /// With this code.
        case exited(Int32)
        /// By this signal.
        case signalled(Int32)
    }

    private struct State {
        var isOpen = true
        var input: CInt?
        /// Known once the child was reaped: from then on its id may be another process's.
        var status: Status?
    }

    /// Where to read what it writes; closed by `wait`.
    public let output: CInt
    /// Where to write what it reads; nil when its input is ours, and after `closeInput`.
    public var input: CInt? { state.withLock { $0.input } }
    private let identifier: pid_t

    /// Its number, as long as nobody has waited for its end.
    public var processID: Int32 { identifier }
    private let state: Monitor<State>

    /// How long `kill` waits for a child that was asked to end, before it is made to.
    public static let gracePeriod = Duration.seconds(5)

    /// Starts the program, found by PATH, with its arguments; its standard error is ours, and its standard input unless `pipesInput`.
    /// Throws `.sourceFailed`.
    /// - Parameter environment: set for the child on top of ours, which it gets without the password.
    public init(_ command: [String], environment: [String: String] = [:], pipesInput: Bool = false) throws(RepoError) {
        var ends: [CInt] = [0, 0]
        guard linux_pipe_cloexec(&ends) == 0 else { throw Self.failure(command[0], errno) }
        var inputEnds: [CInt] = [-1, -1]
        guard !pipesInput || linux_pipe_cloexec(&inputEnds) == 0 else {
            let number = errno
            for end in ends { close(end) }
            throw Self.failure(command[0], number)
        }
        // As large as an unprivileged process may have (fs.pipe-max-size): fewer switches between the two.
        for end in [ends[0]] + (pipesInput ? [inputEnds[1]] : []) { _ = fcntl(end, 1031 /* F_SETPIPE_SZ */, 1 << 20) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        if pipesInput { posix_spawn_file_actions_adddup2(&actions, inputEnds[0], 0) }
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
        var variables = ChildEnvironment.variables(environment).map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var child = pid_t()
        let result = posix_spawnp(&child, command[0], &actions, &attributes, &arguments, &variables)
        close(ends[1])
        if pipesInput { close(inputEnds[0]) }
        guard result == 0 else {
            close(ends[0])
            if pipesInput { close(inputEnds[1]) }
            throw Self.failure(command[0], result)
        }
        output = ends[0]
        identifier = child
        state = Monitor(State(input: pipesInput ? inputEnds[1] : nil))
    }

    private static func failure(_ program: String, _ status: CInt) -> RepoError {
        RepoError(
            .sourceFailed, "'\(program)' cannot be started: \(String(cString: strerror(status)))",
            advice: "Check its name and PATH. No snapshot was made.")
    }

    /// What it writes, to its end; what goes beyond the limit is thrown away.
    public func readAll(atMost limit: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(output, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return bytes }
            bytes += buffer[..<min(count, limit - bytes.count)]
        }
    }

    /// The end of what it reads.
    public func closeInput() {
        let open = state.withLock { state in
            defer { state.input = nil }
            return state.input
        }
        if let open { close(open) }
    }

    /// Closes the pipes and waits for its end.
    public func wait() -> Status {
        closeInput()
        closeOutput()
        // Waited for without being reaped, so that its id stays its own while another thread may signal it.
        var information = siginfo_t()
        while waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        return state.withLock { reap(&$0, flags: 0) } ?? .signalled(SIGKILL)
    }

    private func closeOutput() {
        let isOpen = state.withLock { state in
            defer { state.isOpen = false }
            return state.isOpen
        }
        if isOpen { close(output) }
    }

    /// Nil while it runs, with `WNOHANG`.
    private func reap(_ state: inout State, flags: CInt) -> Status? {
        if let status = state.status { return status }
        var raw: CInt = 0
        var result = waitpid(identifier, &raw, flags)
        while result < 0, errno == EINTR { result = waitpid(identifier, &raw, flags) }
        guard result > 0 else { return nil }
        let signal = raw & 0x7F
        state.status = signal == 0 ? .exited((raw >> 8) & 0xFF) : .signalled(signal)
        return state.status
    }

    /// Asks it to end, without waiting.
    public func terminate() { _ = send(SIGTERM) }

    /// Ends it if it still runs, and returns when it has ended: SIGTERM, and SIGKILL when it is still there after the grace period.
    public func kill(after gracePeriod: Duration = ChildProcess.gracePeriod) {
        let deadline = ContinuousClock.now + gracePeriod
        guard !send(SIGTERM) else { return }
        while ContinuousClock.now < deadline {
            if state.withLock({ reap(&$0, flags: WNOHANG) }) != nil { return }
            usleep(10_000)
        }
        if !send(SIGKILL) { state.withLock { _ = reap(&$0, flags: 0) } }
    }

    /// True when it has ended already.
    private func send(_ signal: CInt) -> Bool {
        state.withLock { state in
            if reap(&state, flags: WNOHANG) != nil { return true }
            _ = Glibc.kill(identifier, signal)
            return false
        }
    }
}
