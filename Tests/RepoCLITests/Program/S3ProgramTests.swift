import Glibc
import PostgresTesting
import StorageTesting
import Testing

/// The program itself on a real S3 server.
@Suite("A repository in S3")
struct S3ProgramTests {
    private let folder: String
    private let program: ProgramUnderTest
    private let prefix = SeaweedServer.uniquePrefix()

    init() throws {
        var template = Array("/tmp/s3-program-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        program = ProgramUnderTest(
            folder: folder,
            environment: SeaweedServer.environment.merging([
                "REPO_URL": try SeaweedServer.running().location(prefix), "REPO_CACHE_DIR": folder + "/cache", "REPO_CONFIG": "/dev/null",
                "REPO_KEY_FILE": folder + "/key",
            ]) { $1 })
    }

    private func make() throws {
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"])
        for command in [["init"], ["key", "add", "--out", folder + "/key"]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(outcome)")
        }
    }

    @discardableResult
    private func run(_ arguments: String..., through port: Int? = nil) throws -> ProgramUnderTest.Outcome {
        var program = program
        if let port { program = try program.with(["REPO_URL": try SeaweedServer.running().location(prefix, port: port)]) }
        let outcome = try program.run(arguments)
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
        try run("restore", second, "--target", folder + "/second")
        #expect(try Described.tree(folder + "/first" + tree.path) == before)
        #expect(try Described.tree(folder + "/second" + tree.path) == Described.tree(tree.path))
        #expect(try run("forget", "--keep-last", "1", "--prune", "--json").status == 0)
        let list = try run("snapshots", "--json").text
        #expect(list.contains(second) && !list.contains(first))
        try run("prune", "--max-unused", "0%")
        try run("check", "--read-data")
        #expect(try run("cat", second, tree.path + "/dump.sql").output == FileTree.read(tree.path + "/dump.sql"))

        let again = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"]).run("init")
        #expect(again.status != 0 && again.errors.contains("already"), "a repository is not made over another: \(again)")
        let password = try program.with(["AWS_SECRET_ACCESS_KEY": "wrong"]).run("snapshots")
        #expect(password.status == 1 && password.errors.contains("SignatureDoesNotMatch"), "\(password)")
        let reader = try program.with(["AWS_ACCESS_KEY_ID": SeaweedServer.readerKey, "AWS_SECRET_ACCESS_KEY": SeaweedServer.readerSecret])
        #expect(try reader.run("snapshots").status == 0)
        let refused = try reader.run("snapshot", "files", tree.path)
        #expect(refused.status == 1 && refused.errors.contains("AccessDenied"), "\(refused)")
        let copy = folder + "/copy"
        #expect(try reader.run("init", "--repo", copy, "--copy-of", SeaweedServer.running().location(prefix)).status == 0)
        let copied = try reader.run("copy", "--to", copy)
        #expect(copied.status == 0 && copied.errors.contains("AccessDenied") && copied.errors.contains("run no prune"), "\(copied)")
        #expect(try run("cat", second, tree.path + "/dump.sql", "--repo", copy).output == FileTree.read(tree.path + "/dump.sql"))
        #expect(try program.with(["REPO_URL": "s3:http://127.0.0.1:\(SeaweedServer.running().port)/nobucket/x"]).run("snapshots").status == 10)
    }

    @Test("A server's log is pushed there and fetched")
    func log() throws {
        defer { FileTree.remove(folder) }
        try make()
        let server = try PostgresServer(initdb: ["--wal-segsize=1"])
        defer { server.remove() }
        try server.start()
        let name = try server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        try server.sql("CREATE TABLE t(i int)")
        try server.sql("SELECT pg_switch_wal()")
        let segment = try FileTree.read("\(server.data)/pg_wal/\(name)")
        try run("wal", "push", "\(server.data)/pg_wal/\(name)")
        try run("wal", "push", "\(server.data)/pg_wal/\(name)")
        try run("wal", "get", name, folder + "/segment")
        #expect(try FileTree.read(folder + "/segment") == segment)
        #expect(try program.run("wal", "get", "0000000100000000000000FF", folder + "/absent").status == 1)
        let gone = try program.with(["REPO_URL": "s3:http://127.0.0.1:1/repo/x", "REPO_RETRY_SECONDS": "0"])
        #expect(try gone.run("wal", "get", name, folder + "/other").status == 126, "a store that is gone is not the log's end")
    }

    @Test("A store that goes away ends in 75, and nothing that was stored is lost", arguments: [3, 8, 14])
    func gone(_ requests: Int) throws {
        defer { FileTree.remove(folder) }
        try make()
        let tree = folder + "/tree"
        for number in 0..<20 { try FileTree.write("\(tree)/\(number)", [UInt8](repeating: UInt8(number), count: 50_000)) }
        let kept = try run("snapshot", "files", tree, "--quiet").text
        var numbers = SeededNumbers(seed: 5)
        for number in 20..<40 { try FileTree.write("\(tree)/\(number)", numbers.bytes(400_000)) }
        let proxy = try FaultProxy(to: SeaweedServer.running().port) { $0.ordinal > requests ? .resetBefore : nil }
        defer { proxy.stop() }
        let broken = try program.with([
            "REPO_URL": SeaweedServer.running().location(prefix, port: proxy.port), "REPO_RETRY_SECONDS": "1",
        ]).run("snapshot", "files", tree)
        #expect(broken.status == 75, "\(broken)")
        #expect(broken.errors.contains("trying again"))
        try run("check", "--read-data")
        #expect(try run("snapshots", "--json").text.contains(kept))
        try run("snapshot", "files", tree, "--quiet")
        try run("check", "--read-data")
    }

    @Test("A provider that overwrites on create-only puts is refused before anything is made there")
    func refusedProvider() throws {
        defer { FileTree.remove(folder) }
        let server = try RcloneServer()
        defer { server.stop() }
        let program = try program.with(["REPO_URL": server.location, "REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret", "REPO_RETRY_SECONDS": "1"])
        let probe = try program.run("storage", "probe", "--json")
        #expect(probe.status == 1 && probe.text.contains("\"safe\":false"), "\(probe)")
        let made = try program.run("init")
        #expect(made.status == 1 && made.errors.contains("no repository can live"), "\(made)")
        #expect(try program.run("snapshots").status == 10)
    }

    @Test("A provider that keeps the contract passes the probe")
    func safeProvider() throws {
        defer { FileTree.remove(folder) }
        let probe = try run("storage", "probe", "--json")
        #expect(probe.text.contains("\"safe\":true"), "\(probe.text)")
    }
}
