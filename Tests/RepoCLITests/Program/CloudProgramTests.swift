import Glibc
import PostgresTesting
import StorageTesting
import Testing

/// The program itself on protocol fakes of Azure Blob and Google Cloud Storage: what passes is emulated, not tried on the providers.
@Suite("A repository in Azure and at Google, emulated")
struct CloudProgramTests {
    private static let providers: [EmulatedCloud.Provider] = [.azure, .google]

    @Test("emulated: snapshots and the log go there and come back, are checked, forgotten and pruned", arguments: providers)
    func wholeWay(_ provider: EmulatedCloud.Provider) throws {
        var template = Array("/tmp/cloud-program-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { FileTree.remove(folder) }
        let cloud = try EmulatedCloud.running(provider)
        let program = ProgramUnderTest(
            folder: folder,
            environment: cloud.environment.merging([
                "REPO_URL": cloud.location(SeaweedServer.uniquePrefix()), "REPO_CACHE_DIR": folder + "/cache", "REPO_CONFIG": "/dev/null",
                "REPO_KEY_FILE": folder + "/key",
            ]) { $1 })
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"])
        for command in [["storage", "probe"], ["init"], ["key", "add", "--out", folder + "/key"]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(outcome)")
        }
        @discardableResult
        func run(_ arguments: String...) throws -> ProgramUnderTest.Outcome {
            let outcome = try program.run(arguments)
            #expect(outcome.status == 0, "\(arguments): \(outcome)")
            return outcome
        }
        let tree = try SampleTree(at: folder + "/tree")
        let older = try run("snapshot", "files", tree.path, "--quiet").text
        let before = try Described.tree(tree.path)
        try tree.change(to: 1)
        let newer = try run("snapshot", "files", tree.path, "--quiet", "--verify").text
        try run("check", "--read-data")
        try run("restore", older, "--target", folder + "/older")
        #expect(try Described.tree(folder + "/older" + tree.path) == before)
        try run("forget", "--keep-last", "1", "--prune")
        try run("prune", "--max-unused", "0%")
        try run("check", "--read-data")
        let list = try run("snapshots", "--json").text
        #expect(list.contains(newer) && !list.contains(older))
        try run("restore", newer, "--target", folder + "/newer")
        #expect(try Described.tree(folder + "/newer" + tree.path) == Described.tree(tree.path))

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

        let again = try first.run("init")
        #expect(again.status != 0 && again.errors.contains("already"), "a repository is not made over another: \(again)")
        let wrong = try program.with(cloud.wrongEnvironments[0])
        #expect(try wrong.run("snapshots").status == 1)
        #expect(try program.with(["REPO_URL": cloud.location("x", bucket: "nowhere")]).run("snapshots").status == 10)
    }
}
