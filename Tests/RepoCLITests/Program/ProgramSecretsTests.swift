import Foundation
import Glibc
import StorageTesting
import Testing

/// Where the real program's secrets are, and where they are not (docs/threat-model.md, "On the machine itself").
@Suite("The program's secrets") struct ProgramSecretsTests {
    private static let password = "7c-a password that stands nowhere else-1f"

    private static func occurrences(of pattern: [UInt8], in process: pid_t) throws -> Int {
        try pattern.withUnsafeBytes { try MemorySearch.occurrences(of: $0, in: process) }
    }

    /// A snapshot of a stream that goes on, and which has unlocked the repository.
    private func working(_ folder: ProgramFolder, _ program: ProgramUnderTest) throws -> RunningProgram {
        let process = try program.start(["snapshot", "stdin", "--name", "stream", "-v"])
        let registrations = "\(folder.repository)/writers"
        for _ in 0..<2000 where FileTree.names(registrations).isEmpty { usleep(10_000) }
        try #require(!FileTree.names(registrations).isEmpty, "it has not begun")
        return process
    }

    @Test("What unlocked the repository is not in the memory of a program that works with it", arguments: [false, true])
    func unlocking(byPassword: Bool) throws {
        let folder = try ProgramFolder()
        let line = String(decoding: try FileTree.read("\(folder.path)/machine.key"), as: UTF8.self)
        let digits = try #require(line.split(whereSeparator: \.isWhitespace).last.map(String.init))
        var program = folder.program
        var patterns = [Array(digits.utf8), stride(from: 0, to: 64, by: 2).map { UInt8(digits.dropFirst($0).prefix(2), radix: 16)! }]
        if byPassword {
            try FileTree.write("\(folder.path)/password", Array((Self.password + "\n").utf8))
            try #require(try program.run("key", "add", "--new-password-file", "\(folder.path)/password").status == 0)
            program = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD_FILE": "\(folder.path)/password"])
            patterns = [Array(Self.password.utf8)]
        }
        let process = try working(folder, program)
        defer { process.kill() }
        for pattern in patterns { #expect(try Self.occurrences(of: pattern, in: process.process) == 0) }
        // The way of looking finds what is there.
        #expect(try Self.occurrences(of: Array("REPO_CACHE_DIR=\(folder.path)/cache".utf8), in: process.process) > 0)
        process.endInput()
        let outcome = try process.wait()
        #expect(outcome.status == 0 && !outcome.errors.contains(digits) && !outcome.errors.contains(Self.password), "\(outcome)")
    }

    @Test("Programs that are started do not get the password, and command lines do not show it")
    func environments() throws {
        let folder = try ProgramFolder()
        let program = try folder.program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": ProgramFolder.password])
        let taken = try program.run("snapshot", "command", "--name", "seen", "--quiet", "--", "/bin/sh", "-c", "env; cat /proc/$PPID/cmdline")
        try #require(taken.status == 0, "\(taken)")
        let seen = try program.run("cat", taken.text, "seen")
        #expect(seen.text.contains("REPO_URL=") && !seen.text.contains(ProgramFolder.password), "\(seen.text)")
    }

    @Test("A crash leaves no core, of the program alone", .enabled(if: access("/usr/bin/python3", X_OK) == 0))
    func cores() throws {
        let folder = try ProgramFolder()
        let script = """
            import os, resource, signal, sys, time
            def dumps(words):
                child = os.fork()
                if child == 0:
                    # Whatever whoever started this had blocked or ignored.
                    signal.pthread_sigmask(signal.SIG_SETMASK, [])
                    signal.signal(signal.SIGABRT, signal.SIG_DFL)
                    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                    os.chdir(sys.argv[1])
                    os.execv(words[0], words)
                time.sleep(1.5)
                os.kill(child, signal.SIGABRT)
                for _ in range(600):
                    ended, status = os.waitpid(child, os.WNOHANG)
                    if ended:
                        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT and os.WCOREDUMP(status)
                    time.sleep(0.1)
                os.kill(child, signal.SIGKILL)
                return "alive"
            print(dumps(["/bin/sleep", "60"]), dumps(sys.argv[2:]))
            """
        try FileTree.write("\(folder.path)/cores/script", Array(script.utf8))
        // The launcher's arguments come before the program's path.
        let outcome = try folder.program.through(["/usr/bin/python3", "\(folder.path)/cores/script", "\(folder.path)/cores"])
            .start(["snapshot", "stdin", "--name", "stream"]).wait()
        try #require(outcome.status == 0, "\(outcome)")
        let results = outcome.text.split(separator: " ")
        #expect(results.last == "False", "\(outcome.text)")
        #expect(!FileTree.names("\(folder.path)/cores").contains { $0.hasPrefix("core") && results.first == "False" })
    }

    @Test("Its memory belongs to root while it runs, and that of what it starts does not", .enabled(if: geteuid() == 0))
    func memory() throws {
        let folder = try ProgramFolder()
        try #require(chmod(folder.path, 0o777) == 0)
        // Waits for a password, with the program that is to tell it.
        let process = try folder.program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD_COMMAND": "exec sleep 60", "REPO_URL": "/nowhere"])
            .through(["/usr/bin/setpriv", "--reuid=65534", "--clear-groups"]).start(["init"])
        defer { process.kill() }
        func owner(_ process: pid_t) -> uid_t? {
            var status = stat()
            return stat("/proc/\(process)/mem", &status) == 0 ? status.st_uid : nil
        }
        func children() -> [pid_t] {
            let text = FileManager.default.contents(atPath: "/proc/\(process.process)/task/\(process.process)/children") ?? Data()
            return String(decoding: text, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
        }
        for _ in 0..<1000 where children().isEmpty { usleep(10_000) }
        let child = try #require(children().first)
        usleep(200_000)
        #expect(owner(process.process) == 0)
        #expect(owner(child) == 65534)
        _ = Glibc.kill(child, SIGKILL)
        _ = try process.wait()
    }

    @Test("Whatever the umask, nobody else may read or write what it makes")
    func modes() throws {
        let folder = try ProgramFolder(repository: nil)
        let program = try folder.program.with(["REPO_URL": "\(folder.path)/open", "REPO_PASSWORD": "a password", "REPO_KEY_FILE": nil])
            .through(["/bin/sh", "-c", "umask 000; exec \"$0\" \"$@\""])
        func run(_ words: String..., input: String = "") throws {
            let outcome = try program.run(words, input: Array(input.utf8))
            try #require(outcome.status == 0, "\(words) \(outcome)")
        }
        try FileTree.write("\(folder.path)/tree/a", [1, 2, 3])
        let before = Set(FileTree.files(folder.path))
        try run("init")
        try run("key", "add", "--writer", "--out", "\(folder.path)/writer.key")
        try run("snapshot", "stdin", "--name", "s", input: "some content")
        try run("snapshot", "files", "\(folder.path)/tree")
        try run("hold", "add", "latest:s", "--reason", "test")
        try run("check", "--read-data")
        try run("hold", "remove", "latest:s")
        try run("forget", "latest:s", "--prune", "--max-unused", "0%")
        let writer = try program.with(["REPO_PASSWORD": nil, "REPO_KEY_FILE": "\(folder.path)/writer.key"])
        try #require(try writer.run("snapshot", "files", "\(folder.path)/tree").status == 0)
        let made = FileTree.files(folder.path).filter { !before.contains($0) }
        #expect(made.contains { $0.contains("/.local/state/") } && made.contains { $0.contains("/cache/") } && made.contains { $0.hasSuffix("writer.key") })
        for file in made { #expect(Self.mode(file) & 0o077 == 0, "\(file)") }
        for name in ["open", "open/packs", "open/snapshots", "cache", ".local/state/repo/seen"] {
            #expect(Self.mode("\(folder.path)/\(name)") & 0o077 == 0, "\(name)")
        }
    }

    private static func mode(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode : .max
    }
}
