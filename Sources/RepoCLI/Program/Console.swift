import Glibc
import RepoBase

/// Where a command's input and output go, and what surrounds it: passed in, so that tests run commands in-process.
struct Console: Sendable {
    var input: CInt = STDIN_FILENO
    var output: CInt = STDOUT_FILENO
    var errors: CInt = STDERR_FILENO
    var environment: [String: String] = [:]
    /// The program's own file, for work that goes on in the background; nil where it is not a program that runs.
    var executable: String?

    /// The process's own streams and environment.
    static func system() -> Console {
        var console = Console()
        console.executable = "/proc/self/exe"
        var entry = environ
        while let pair = entry.pointee {
            let text = String(cString: pair)
            if let equals = text.firstIndex(of: "=") {
                console.environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            entry += 1
        }
        return console
    }

    /// A variable that is set to something; an empty one counts as not set.
    func variable(_ name: String) -> String? {
        guard let value = environment[name], !value.isEmpty else { return nil }
        return value
    }

    var errorsIsTerminal: Bool { isatty(errors) == 1 }
    var outputIsTerminal: Bool { isatty(output) == 1 }

    /// https://no-color.org: any value but the empty one switches colours off.
    var allowsColour: Bool { variable("NO_COLOR") == nil && variable("TERM") != "dumb" }

    /// What begins a message: the program's name, in red on a terminal.
    var name: String { errorsIsTerminal && allowsColour ? "\u{1B}[31mrepo:\u{1B}[0m" : "repo:" }

    // MARK: Writing

    /// A reader that went away: the program ends quietly, as one killed by SIGPIPE would.
    struct ReaderGone: Error {}

    func write(_ bytes: UnsafeRawBufferPointer) throws { try Self.write(bytes, to: output) }

    func print(_ line: String) throws { try write(line + "\n") }

    func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// A line for people on standard error. Nobody there to read it is no failure.
    func note(_ line: String) {
        var text = line + "\n"
        text.withUTF8 { try? Self.write(UnsafeRawBufferPointer($0), to: errors) }
    }

    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest.baseAddress!, rest.count)
            if count < 0 {
                switch errno {
                case EINTR: continue
                case EAGAIN:
                    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&waiting, 1, -1)
                    continue
                case EPIPE: throw ReaderGone()
                case let number: throw outputFailure(number)
                }
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    private static func outputFailure(_ number: CInt) -> RepoError {
        RepoError(
            [ENOSPC, EDQUOT].contains(number) ? .storeFull : .failed, "cannot write to standard output: \(String(cString: strerror(number)))",
            advice: "What was written there is not whole. Make room there, or write elsewhere, and run it again.")
    }

    /// Closes the output, of no more use afterwards: a file on a server (NFS, SMB) may be refused only then. An output that nobody gave is none.
    func closeOutput() throws(RepoError) {
        if close(output) != 0, errno != EBADF, errno != EINTR { throw Self.outputFailure(errno) }
    }
}
