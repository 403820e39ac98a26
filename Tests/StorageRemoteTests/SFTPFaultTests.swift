import Glibc
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

/// What connections and servers do wrong.
@Suite("SFTP over a bad connection")
struct SFTPFaultTests {
    private static let quick = RetryPolicy(attempts: 8, firstDelay: .milliseconds(2), maximumDelay: .milliseconds(10), totalTime: .seconds(30))

    /// Counted in bytes of answers: from within the greeting to the last answers of a put.
    @Test("A put and what follows survive a connection that breaks anywhere", arguments: Array(stride(from: 0, to: 900, by: 37)))
    func cut(_ count: Int) throws {
        let server = try RelayedServer { connection in connection == 1 ? .cutAnswers(after: count) : nil }
        let store = RetryingStore(server.store(), policy: Self.quick)
        let bytes = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 13 ^ $0 >> 9) }
        try store.put(StoreKey("packs/ab/one"), bytes, .create)
        #expect(try store.get(StoreKey("packs/ab/one"), atMost: 1 << 20) == bytes)
        #expect(try store.list("").map(\.key) == [StoreKey("packs/ab/one")])
        #expect(throws: (any Error).self) { try store.put(StoreKey("packs/ab/one"), [1], .create) }
    }

    @Test("A put whose questions break off anywhere is stored whole or not at all", arguments: Array(stride(from: 5, to: 300_000, by: 24_989)))
    func cutQuestions(_ count: Int) throws {
        let server = try RelayedServer { $0 == 1 ? .cutQuestions(after: count) : nil }
        let store = RetryingStore(server.store(), policy: Self.quick)
        let bytes = [UInt8](repeating: 7, count: 280_000)
        try store.put(StoreKey("snapshots/one"), bytes, .create)
        #expect(try store.get(StoreKey("snapshots/one"), atMost: 1 << 20) == bytes)
        let unknown = try LocalStore(path: server.path, mustExist: true)
        #expect(try unknown.list("").map(\.size) == [280_000])
    }

    @Test("A read goes on with another connection", arguments: [100, 500, 5_000, 300_000, 900_000])
    func cutRead(_ count: Int) throws {
        let server = try RelayedServer { $0 == 2 ? .cutAnswers(after: count) : nil }
        let bytes = (0..<1_500_000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 11) }
        try server.store().put(StoreKey("packs/ab/one"), bytes, .create)
        let store = RetryingStore(server.store(), policy: Self.quick)
        var buffer = [UInt8](repeating: 0, count: bytes.count)
        let got = try buffer.withUnsafeMutableBytes { try store.read(StoreKey("packs/ab/one"), at: 0, into: $0) }
        #expect(got == bytes.count && buffer == bytes)
    }

    @Test("Answers that drip byte by byte are answers")
    func drip() throws {
        let server = try RelayedServer { _ in .drip }
        let store = server.store()
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try store.put(StoreKey("packs/ab/one"), bytes, .create)
        #expect(try store.get(StoreKey("packs/ab/one"), atMost: 1 << 20) == bytes)
    }

    @Test("A server that falls silent is given up, and says so")
    func silent() throws {
        var options = SFTPStore.Options()
        options.stall = .seconds(1)
        let server = try RelayedServer(options: options) { _ in .silence(after: 400) }
        let error = #expect(throws: RepoError.self) { try server.store().put(StoreKey("packs/ab/one"), [UInt8](repeating: 1, count: 3_000_000), .create) }
        #expect(error?.code == .unreachable && error?.message.contains("packs/ab/one") == true, "\(String(describing: error))")
    }

    @Test("A server that is gone is unreachable, and the message names the object")
    func gone() throws {
        let server = try SSHServer.running()
        let port = try SSHServer.unusedPort()
        let location = try SFTPLocation(parsing: String(server.location(server.newPath(), port: port).dropFirst(5)))
        let error = #expect(throws: RepoError.self) { try SFTPStore(location, mustExist: false, command: nil).put(StoreKey("a/b"), [1], .create) }
        #expect(error?.code == .unreachable && error?.code.exitStatus == 75)
        #expect(error?.message.contains("a/b") == true && error?.message.contains("refused") == true, "\(String(describing: error))")
    }

    @Test("A program that is not there, or says what is no SFTP, is told as such")
    func programs() throws {
        let server = try SSHServer.running()
        func failure(_ command: String) throws -> RepoError? {
            #expect(throws: RepoError.self) { try server.store(command: command).stat(StoreKey("config")) }
        }
        #expect(try failure("/nonexistent/ssh")?.message.contains("cannot be started") == true)
        let greeting = try failure("/bin/sh -c 'echo Welcome to this server; sleep 1'")
        #expect(greeting?.code == .failed && greeting?.message.contains("Welco") == true, "\(String(describing: greeting))")
        #expect(try failure("/bin/false")?.code == .unreachable)
    }

    /// Packets after the greeting that no server sends: to the first question, whose id is 1.
    @Test(
        "Hostile answers end the connection and are refused",
        arguments: [
            ("a length of 4 GiB", [0xFF, 0xFF, 0xFF, 0xFF, 105, 0, 0, 0, 1]),
            ("a length of nothing", [0, 0, 0, 0, 105, 0, 0, 0, 1]),
            ("another's id", [0, 0, 0, 9, 105, 0, 0, 0, 9, 0, 0, 0, 0]),
            ("an unknown kind", [0, 0, 0, 5, 77, 0, 0, 0, 1]),
            ("data that nobody asked for", [0, 0, 0, 10, 103, 0, 0, 0, 1, 0, 0, 0, 1, 9]),
            ("attributes that end early", [0, 0, 0, 9, 105, 0, 0, 0, 1, 0, 0, 0, 1]),
            ("a handle where a status is due", [0, 0, 0, 10, 102, 0, 0, 0, 1, 0, 0, 0, 1, 5]),
            ("an empty handle", [0, 0, 0, 9, 102, 0, 0, 0, 1, 0, 0, 0, 0]),
            ("a million names", [0, 0, 0, 9, 104, 0, 0, 0, 1, 0, 0x10, 0, 0]),
        ] as [(String, [UInt8])])
    func hostile(_ name: String, _ packet: [UInt8]) throws {
        let server = try ScriptedSFTP(packet)
        let error = #expect(throws: RepoError.self) { try server.store().stat(StoreKey("config")) }
        #expect(error?.code == .failed || error?.code == .noRepository, "\(name): \(String(describing: error))")
    }

    @Test("Names that would lead elsewhere are refused, and others that are no keys ignored")
    func names() throws {
        func listed(_ names: [String]) throws -> [SFTPName] {
            var body = ScriptedSFTP.number(UInt32(names.count))
            for name in names { body += ScriptedSFTP.text(name) + ScriptedSFTP.text("long") + ScriptedSFTP.number(0) }
            guard case .names(let found) = try SFTPAnswer(SFTPKind.name, body) else { return [] }
            return found
        }
        #expect(try listed(["..", ".", "config", ".tmp-1"]).map(\.name) == ["..", ".", "config", ".tmp-1"])
        for name in ["../config", "a/b", "/etc/passwd", "", "a\0b", String(repeating: "n", count: 5000)] {
            #expect(throws: RepoError.self) { try listed([name]) }
        }
    }
}
