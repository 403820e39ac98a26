import Glibc
import NumbersTesting
import Testing

/// The program itself, as the build of the tests made it, run as a process.
struct ProgramUnderTest: Sendable {
    /// Beside the test bundle; or `REPO_TEST_PROGRAM`, as for long runs with a release build.
    static let path: String? = {
        if let named = getenv("REPO_TEST_PROGRAM") { return String(cString: named) }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let places =
            [
                length > 0
                    ? String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self) : ""
            ]
            + CommandLine.arguments.prefix(1)
        for place in places {
            guard let slash = place.lastIndex(of: "/") else { continue }
            let candidate = "\(place[..<slash])/repo"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        return nil
    }()

    /// Where outputs are kept while a run lasts, and the home directory of the program.
    let folder: String
    private(set) var environment: [String: String]
    private var launcher: [String] = []
    /// Nil for `repo`; the path of another program otherwise.
    private let executable: String?

    init(folder: String, environment: [String: String] = [:], executable: String? = nil) {
        self.folder = folder
        self.executable = executable
        // A crash is to end the process at once instead of printing a backtrace first.
        self.environment = [
            "HOME": folder, "PATH": "/usr/bin:/bin", "TZ": "UTC", "SWIFT_BACKTRACE": "enable=no",
        ].merging(environment) { $1 }
    }

    /// The same with other variables; nil removes one.
    func with(_ changes: [String: String?]) throws -> ProgramUnderTest {
        var program = self
        for (name, value) in changes { program.environment[name] = value }
        return program
    }

    /// The same, started by another program that runs what follows its own arguments.
    func through(_ command: [String]) -> ProgramUnderTest {
        var program = self
        program.launcher = command
        return program
    }

    /// How a run ended.
    struct Outcome: CustomStringConvertible {
        /// Nil when a signal ended it.
        let status: Int32?
        let signal: Int32
        let output: [UInt8]
        let errors: String

        /// The output without the end of its last line.
        var text: String {
            var text = String(decoding: output, as: UTF8.self)
            while text.last == "\n" { text.removeLast() }
            return text
        }

        var description: String { "\(status.map { "exit \($0)" } ?? "signal \(signal)"): \(errors)" }

        /// A number in the line of JSON that was printed last.
        func number(_ field: String) -> UInt64? {
            guard let name = text.ranges(of: "\"\(field)\":").last else { return nil }
            return UInt64(text[name.upperBound...].drop { $0 == " " }.prefix { $0.isNumber })
        }
    }

    func run(_ arguments: String...) throws -> Outcome { try run(arguments) }

    /// Runs to the end, all of `input` on its standard input.
    func run(_ arguments: [String], input: [UInt8] = []) throws -> Outcome {
        let process = try start(arguments)
        process.feed(input[...])
        process.endInput()
        return try process.wait()
    }

    /// Starts a run whose standard input is fed by the caller.
    func start(_ arguments: [String]) throws -> RunningProgram {
        let program = try #require(executable ?? Self.path, "the program is not beside the test bundle; run 'swift build'")
        // A socket instead of a pipe: a send to a process that was killed fails, and signals nobody.
        var ends: [CInt] = [-1, -1]
        try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        let outputs = try (0..<2).map { _ in try Self.unnamedFile(in: folder) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor) in ([ends[1]] + outputs).enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, CInt(number))
        }
        var arguments: [UnsafeMutablePointer<CChar>?] = (launcher + [program] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] =
            environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var process: pid_t = 0
        let status = posix_spawn(&process, (launcher + [program])[0], &actions, nil, &arguments, &variables)
        close(ends[1])
        try #require(status == 0, "\(String(cString: strerror(status)))")
        return RunningProgram(process: process, input: ends[0], output: outputs[0], errors: outputs[1])
    }

    private static func unnamedFile(in folder: String) throws -> CInt {
        var template = Array("\(folder)/output-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        try #require(descriptor >= 0)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(template)
        return descriptor
    }
}

/// A process of the program that runs.
final class RunningProgram {
    let process: pid_t
    private var input: CInt
    private let output: CInt
    private let errors: CInt

    init(process: pid_t, input: CInt, output: CInt, errors: CInt) {
        self.process = process
        self.input = input
        self.output = output
        self.errors = errors
    }

    /// Gives it bytes, as fast as it takes them. False when it is gone.
    @discardableResult
    func feed(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = send(
                    input, bytes.baseAddress! + sent, bytes.count - sent, CInt(MSG_NOSIGNAL))
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return false }
                sent += count
            }
            return true
        }
    }

    func endInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    func kill() { _ = Glibc.kill(process, SIGKILL) }

    /// Waits for the end and takes what it printed.
    func wait() throws -> ProgramUnderTest.Outcome {
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0 { try #require(errno == EINTR) }
        endInput()
        defer {
            close(output)
            close(errors)
        }
        let signal = status & 0x7f
        return ProgramUnderTest.Outcome(
            status: signal == 0 ? (status >> 8) & 0xff : nil, signal: signal,
            output: try Self.content(output),
            errors: String(decoding: try Self.content(errors), as: UTF8.self))
    }

    private static func content(_ descriptor: CInt) throws -> [UInt8] {
        let size = Int(lseek(descriptor, 0, SEEK_END))
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = pread(descriptor, buffer.baseAddress! + count, size - count, off_t(count))
                try #require(got > 0)
                count += got
            }
        }
    }
}

typealias SeededNumbers = NumbersTesting.SeededNumbers

extension SeededNumbers {
    /// Bytes that do not compress. Eight at a time: tests make megabytes of them without optimisation.
    mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: (count + 7) & ~7) { buffer, initialized in
            for offset in stride(from: 0, to: count, by: 8) {
                UnsafeMutableRawBufferPointer(buffer).storeBytes(
                    of: next(), toByteOffset: offset, as: UInt64.self)
            }
            initialized = count
        }
    }

    /// Overwrites a few places of `bytes`.
    mutating func edit(_ bytes: inout [UInt8], places: Int) {
        for _ in 0..<places {
            let at = Int.random(in: 0..<bytes.count - 64, using: &self)
            bytes.replaceSubrange(at..<at + 16, with: self.bytes(16))
        }
    }
}
