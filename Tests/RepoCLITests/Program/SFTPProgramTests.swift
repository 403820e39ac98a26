import Glibc
import PostgresTesting
import StorageTesting
import Testing

/// The program itself, with OpenSSH's client, on a real server.
@Suite("A repository behind SFTP")
struct SFTPProgramTests {
    private let folder: String
    private let program: ProgramUnderTest
    private let server: SSHServer
    private let place: String

    init() throws {
        var template = Array("/tmp/sftp-program-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        server = try SSHServer.running()
        place = server.newPath()
        program = ProgramUnderTest(
            folder: folder,
            environment: [
                "REPO_URL": server.location(place), "REPO_CACHE_DIR": folder + "/cache", "REPO_CONFIG": "/dev/null", "REPO_KEY_FILE": folder + "/key",
                "REPO_RETRY_SECONDS": "20",
            ])
    }

    private func make(_ changes: [String: String?] = [:]) throws {
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"]).with(changes)
        for command in [["init"], ["key", "add", "--out", folder + "/key"]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(outcome)")
        }
    }

    @discardableResult
    private func run(_ arguments: String..., changes: [String: String?] = [:]) throws -> ProgramUnderTest.Outcome {
        let outcome = try program.with(changes).run(arguments)
        #expect(outcome.status == 0, "\(arguments): \(outcome)")
        return outcome
    }

    @Test("Snapshots go there and come back, are checked, forgotten and pruned")
    func wholeWay() throws {
        defer { FileTree.remove(folder) }
        try make()
        let tree = try SampleTree(at: folder + "/tree")
        let first = try run("snapshot", "files", tree.path, "--quiet").text
        let before = try Described.tree(tree.path)
        try tree.change(to: 1)
        let second = try run("snapshot", "files", tree.path, "--quiet", "--verify").text
        try run("check", "--read-data")
        try run("restore", first, "--target", folder + "/first")
        #expect(try Described.tree(folder + "/first" + tree.path) == before)
        try run("forget", "--keep-last", "1", "--prune")
        let list = try run("snapshots", "--json").text
        #expect(list.contains(second) && !list.contains(first))
        try run("prune", "--max-unused", "0%")
        try run("check", "--read-data")
        let again = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"]).run("init")
        #expect(again.status != 0 && again.errors.contains("already"), "\(again)")
        #expect(try program.with(["REPO_URL": server.location(server.newPath())]).run("snapshots").status == 10)
    }

    @Test("A server's log is pushed there and fetched")
    func log() throws {
        defer { FileTree.remove(folder) }
        try make()
        let database = try PostgresServer(initdb: ["--wal-segsize=1"])
        defer { database.remove() }
        try database.start()
        let name = try database.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        try database.sql("CREATE TABLE t(i int)")
        try database.sql("SELECT pg_switch_wal()")
        let segment = try FileTree.read("\(database.data)/pg_wal/\(name)")
        try run("wal", "push", "\(database.data)/pg_wal/\(name)")
        try run("wal", "get", name, folder + "/segment")
        #expect(try FileTree.read(folder + "/segment") == segment)
        #expect(try program.run("wal", "get", "0000000100000000000000FF", folder + "/absent").status == 1)
        let gone = try program.with(["REPO_URL": server.location(place, port: SSHServer.unusedPort()), "REPO_RETRY_SECONDS": "0"])
        #expect(try gone.run("wal", "get", name, folder + "/other").status == 126, "a server that is gone is not the log's end")
    }

    @Test("A host that is not known, and one whose key is another, are refused with what to do")
    func hostKeys() throws {
        defer { FileTree.remove(folder) }
        try make()
        let unknown = try program.with(["REPO_URL": server.location(place, knownHosts: server.folder + "/nobody_known")]).run("snapshots")
        #expect(unknown.status == 1 && unknown.errors.contains("not known") && unknown.errors.contains("ssh-keyscan -p \(server.port) 127.0.0.1 >> "), "\(unknown)")
        let key = String(decoding: try FileTree.read(server.folder + "/id.pub"), as: UTF8.self).split(separator: " ").prefix(2).joined(separator: " ")
        try FileTree.write(folder + "/other_hosts", Array("[127.0.0.1]:\(server.port) \(key)\n".utf8))
        let changed = try program.with(["REPO_URL": server.location(place, knownHosts: folder + "/other_hosts")]).run("snapshots")
        #expect(changed.status == 1 && changed.errors.contains("has changed") && changed.errors.contains("ssh-keygen -R"), "\(changed)")
        let stranger = try program.with(["REPO_SSH_COMMAND": "ssh -i /dev/null"]).with([
            "REPO_URL": server.location(place).replacing("identity=\(server.folder)/id&", with: "identity=\(server.folder)/host&"),
        ]).run("snapshots")
        #expect(stranger.status == 1 && stranger.errors.contains("does not let this user in"), "\(stranger)")
    }

    @Test("A server that crashes within a snapshot ends it in 75, and nothing that was stored is lost")
    func crash() throws {
        defer { FileTree.remove(folder) }
        let server = try SSHServer()
        let url = ["REPO_URL": server.location(server.newPath()), "REPO_RETRY_SECONDS": "1"]
        try make(url)
        let tree = folder + "/tree"
        for number in 0..<20 { try FileTree.write("\(tree)/\(number)", [UInt8](repeating: UInt8(number), count: 50_000)) }
        let kept = try run("snapshot", "files", tree, "--quiet", changes: url).text
        var numbers = SeededNumbers(seed: 5)
        for number in 20..<80 { try FileTree.write("\(tree)/\(number)", numbers.bytes(600_000)) }
        let killer = server.stopWhenStored(4 << 20)
        let broken = try program.with(url).run("snapshot", "files", tree)
        killer.join()
        #expect(broken.status == 75, "\(broken)")
        #expect(broken.errors.contains("trying again"))
        let second = try SSHServer(port: server.port, folder: server.folder)
        defer { second.stop() }
        try run("check", "--read-data", changes: url)
        #expect(try run("snapshots", "--json", changes: url).text.contains(kept))
        try run("snapshot", "files", tree, "--quiet", changes: url)
        try run("check", "--read-data", changes: url)
    }
}
