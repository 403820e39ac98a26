import Glibc
import RepoBase

/// What SIGINT, SIGTERM and SIGHUP do: undo what can be undone, and exit with 130.
///
/// The signals are blocked in every thread and waited for in one (sigwait), so what they do is ordinary code.
enum Interruption {
    private static let undo = Monitor<(@Sendable () -> Bool)?>(nil)

    /// To be called before any other thread starts: threads inherit the mask.
    static func watch(_ console: Console) {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let watched = signals
        // It waits until the process ends and is never joined.
        _ = Unmanaged.passRetained(
            WorkerThread {
                var watched = watched
                var received: CInt = 0
                while sigwait(&watched, &received) == 0 { handle(console) }
            })
    }

    /// `undo` makes what is under way undone and tells whether it could; when it is too late, the work goes on to its
    /// end, which is near.
    static func during<R>(_ undo: @escaping @Sendable () -> Bool, _ body: () throws -> R) rethrows -> R {
        set(undo)
        defer { set(nil) }
        return try body()
    }

    static func set(_ action: (@Sendable () -> Bool)?) { undo.withLock { $0 = action } }

    private static func handle(_ console: Console) {
        let action = undo.withLock { action in
            defer { action = { true } }  // The second signal ends the program in any case.
            return action
        }
        guard action?() ?? true else { return }
        TerminalState.restore()
        console.note(console.errorsIsTerminal ? "\rrepo: interrupted" : "repo: interrupted")
        _exit(ExitStatus.interrupted)
    }
}
