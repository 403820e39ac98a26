import Glibc
@testable import RepoCLI

/// Commands that are run in this process, on the repository in a folder.
struct CommandSession {
    private let folder: String
    private let output: CInt
    private let console: Console

    init(_ work: FuzzFolder, password: String? = nil) {
        folder = work.path
        output = Self.outputFile
        var console = Console(input: Self.noInput, output: output, errors: output, environment: [
            "REPO_URL": folder + "/repository", "REPO_CACHE_DIR": folder + "/cache", "REPO_STATE_DIR": folder + "/state", "TZ": "UTC", "HOME": folder,
        ])
        if let password { console.environment["REPO_PASSWORD"] = password } else { console.environment["REPO_KEY_FILE"] = folder + "/machine.key" }
        self.console = console
    }

    /// The exit status. What is printed is for people but with `--json`: it must hold no control character.
    func run(_ words: [String]) -> Int32 {
        ftruncate(output, 0)
        lseek(output, 0, SEEK_SET)
        let status = CommandRunner(console: console).run(parsed(words))
        if !words.contains("--json") {
            let found = text.unicodeScalars.first { ($0.value < 32 && $0 != "\n") || (127..<160).contains($0.value) || (0x202A...0x202E).contains($0.value) || (0x2066...0x2069).contains($0.value) }
            demand(found == nil, "\(words) prints \(found?.escaped(asASCII: true) ?? ""): \(text)")
        }
        return status
    }

    /// Parsed once in a process: that takes ten times as long as what the command does.
    private func parsed(_ words: [String]) -> any RepoSubcommand {
        if let known = Self.commands[words] { return known }
        let placed = words.map { $0.hasPrefix("@") ? "\(folder)/\($0.dropFirst())" : $0 }
        let command: any RepoSubcommand
        do { command = try RepoCommand.parseAsRoot(placed) as! any RepoSubcommand } catch { preconditionFailure("\(words): \(RepoCommand.message(for: error))") }
        Self.commands[words] = command
        return command
    }

    nonisolated(unsafe) private static var commands: [[String]: any RepoSubcommand] = [:]

    func context() throws -> CommandContext { CommandContext(console: console, options: try GlobalOptions.parse([])) }

    /// What the last command printed.
    var text: String {
        let size = Int(lseek(output, 0, SEEK_END))
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in count = max(0, pread(output, buffer.baseAddress, size, 0)) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let noInput = open("/dev/null", O_RDONLY | O_CLOEXEC)
    private static let outputFile: CInt = {
        let file = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600)
        precondition(file >= 0, "no file in memory")
        return file
    }()
}

/// `O_TMPFILE` of `fcntl.h`, a macro that Swift does not import.
private let O_TMPFILE: CInt = 0o20200000

/// Ends the process where the condition does not hold, and says why in builds too whose preconditions are silent.
func demand(_ condition: Bool, _ message: @autoclosure () -> String) {
    guard !condition else { return }
    Console(output: STDERR_FILENO).note("fuzzing: \(message())")
    abort()
}
