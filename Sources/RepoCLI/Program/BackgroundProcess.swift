import CLinux
import Glibc

/// Work that goes on after a command has ended, in a process and session of its own, with nothing on its standard streams.
enum BackgroundProcess {
    /// Starts it and does not wait. It keeps the environment and the current directory. What goes wrong is not told.
    static func start(_ program: String, _ arguments: [String]) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        // Its own session: what ends the caller's group does not end it (POSIX_SPAWN_SETSID is 0x80 in glibc's spawn.h).
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | 0x80)
        var words: [UnsafeMutablePointer<CChar>?] = (["repo"] + arguments).map { (word: String) in strdup(word) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t()
        posix_spawn(&process, program, &actions, &attributes, &words, environ)
    }

    /// Closes what the caller's caller left open: a server's sockets and pipes must not stay open beyond its end. To be called before
    /// anything is opened.
    static func closeInherited() {
        if linux_close_from(3) == 0 { return }
        for descriptor in 3..<CInt(min(sysconf(Int32(_SC_OPEN_MAX)), 65_536)) { close(descriptor) }
    }
}
