import Foundation
import Glibc
import Testing

@testable import RepoCLI

@Suite("Signals", .serialized)
struct SignalTests {
    /// The program beside the tests' own.
    private static var program: String? {
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            return nil
        }
        // swift test runs a bundle, whose path is the second argument, in a process of the toolchain's or its own.
        let places = [own] + CommandLine.arguments
        return places.map { ($0 as NSString).deletingLastPathComponent + "/repo" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// A command that says nothing and ignores the request to end was left running.
    @Test func anInterruptedCommandIsEnded() throws {
        let program = try #require(Self.program, "the program is built beside the tests")
        let session = try CommandSession()
        let file = "\(session.folder)/pid"
        let script = "trap '' TERM; echo $$ > \(file).new; mv \(file).new \(file); while :; do sleep 0.1; done"
        let words = [program, "snapshot", "command", "--name", "c", "--", "sh", "-c", script]
        var arguments = words.map { strdup($0) } + [nil]
        let pairs = session.environment.map { "\($0.key)=\($0.value)" } + ["PATH=/usr/bin:/bin"]
        var environment = pairs.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var child = pid_t()
        try #require(posix_spawn(&child, program, &actions, nil, &arguments, &environment) == 0)
        while access(file, F_OK) != 0 { usleep(10_000) }
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let command = try #require(pid_t(text.dropLast()))
        #expect(kill(command, 0) == 0)
        let clock = ContinuousClock.now
        kill(child, SIGTERM)
        var status: CInt = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        #expect((status >> 8) & 0xFF == 130)
        #expect(ContinuousClock.now - clock < .seconds(30))
        #expect(kill(command, 0) != 0, "the command runs on")
        #expect(session.names("repository/writers").isEmpty)
        #expect(session.names("repository/snapshots").isEmpty)
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
    func anInterruptedSnapshotLeavesNothing(_ signal: CInt) throws {
        let program = try #require(Self.program, "the program is built beside the tests")
        let session = try CommandSession()
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addclose(&actions, ends[1])
        var output: [CInt] = [0, 0]
        try #require(pipe(&output) == 0)
        defer { close(output[0]) }
        posix_spawn_file_actions_adddup2(&actions, output[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let words = [program, "snapshot", "stdin", "--name", "a", "--json", "--verbose"]
        var arguments = words.map { strdup($0) } + [nil]
        let pairs = session.environment.map { "\($0.key)=\($0.value)" }
        var environment = pairs.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var child = pid_t()
        try #require(posix_spawn(&child, program, &actions, nil, &arguments, &environment) == 0)
        close(ends[0])
        close(output[1])
        defer { close(ends[1]) }
        // Its first report of progress: it has registered and waits for input, which never ends.
        var byte: UInt8 = 0
        #expect(read(output[0], &byte, 1) == 1)
        #expect(session.names("repository/writers").count == 1)
        kill(child, signal)
        var status: CInt = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        #expect(status & 0x7F == 0)
        #expect((status >> 8) & 0xFF == 130)
        #expect(session.names("repository/writers").isEmpty)
        #expect(session.names("repository/snapshots").isEmpty)
    }
}
