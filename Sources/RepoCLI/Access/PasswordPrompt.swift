import Glibc
import RepoBase

/// Asks for a password on the terminal, without showing it.
enum PasswordPrompt {
    /// Throws `.usage` where there is no terminal to ask on: a cron job must not wait for an answer.
    static func ask(_ console: Console, _ prompt: String, twice: Bool) throws(RepoError) -> [UInt8] {
        guard isatty(console.input) == 1, console.errorsIsTerminal else {
            throw RepoError(
                .usage, "no password or key was given, and there is no terminal to ask on",
                advice: "Use --password-file, --password-command, --key-file, or their environment variables."
            )
        }
        let password = try line(console, "\(prompt): ")
        if twice, try line(console, "The same again: ") != password {
            throw RepoError(.usage, "the two passwords differ", advice: "Run the command again.")
        }
        guard !password.isEmpty else { throw RepoError(.usage, "the password is empty") }
        return password
    }

    private static func line(_ console: Console, _ prompt: String) throws(RepoError) -> [UInt8] {
        var shown = termios()
        tcgetattr(console.input, &shown)
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(console.input, TCSAFLUSH, &hidden)
        TerminalState.remember(shown, of: console.input)
        defer {
            TerminalState.restore()
            console.note("")
        }
        var text = prompt
        text.withUTF8 { try? Console.write(UnsafeRawBufferPointer($0), to: console.errors) }
        var bytes: [UInt8] = []
        // It grows no further, which would leave copies in memory.
        bytes.reserveCapacity(4096)
        var byte: UInt8 = 0
        while true {
            let count = read(console.input, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else {
                throw RepoError(.usage, "no password was entered")
            }
            if byte == UInt8(ascii: "\n") { return bytes }
            bytes.append(byte)
        }
    }
}

/// The terminal's settings from before a question, to be put back even when a signal ends the program.
enum TerminalState {
    private static let saved = Monitor<(settings: termios, descriptor: CInt)?>(nil)

    static func remember(_ settings: termios, of descriptor: CInt) {
        saved.withLock { $0 = (settings, descriptor) }
    }

    static func restore() {
        saved.withLock { state in
            guard var before = state else { return }
            tcsetattr(before.descriptor, TCSAFLUSH, &before.settings)
            state = nil
        }
    }
}
