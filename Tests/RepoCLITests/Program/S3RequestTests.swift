import Glibc
import PostgresTesting
import StorageTesting
import Testing

/// The real program on a real S3 server, behind a proxy that counts requests.
@Suite("Requests to S3")
struct S3RequestTests {
    private let folder: String
    private let program: ProgramUnderTest
    private let prefix = SeaweedServer.uniquePrefix()
    private let proxy: FaultProxy

    init() throws {
        var template = Array("/tmp/s3-requests-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        proxy = try FaultProxy(to: SeaweedServer.running().port)
        program = ProgramUnderTest(
            folder: folder,
            environment: SeaweedServer.environment.merging([
                "REPO_URL": try SeaweedServer.running().location(prefix, port: proxy.port), "REPO_CACHE_DIR": folder + "/cache",
                "REPO_CONFIG": "/dev/null", "REPO_KEY_FILE": folder + "/key",
            ]) { $1 })
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"])
        for command in [["init"], ["key", "add", "--out", folder + "/key"]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(outcome)")
        }
    }

    private func end() {
        proxy.stop()
        FileTree.remove(folder)
    }

    /// What the command prints, and the requests that it took, as "METHOD target" without the bucket.
    @discardableResult
    private func run(_ arguments: String...) throws -> (text: String, requests: [String]) {
        proxy.reset()
        let outcome = try program.run(arguments)
        #expect(outcome.status == 0, "\(arguments): \(outcome)")
        let requests = proxy.requests.map { "\($0.method) \($0.target)" }
        return (outcome.text, requests)
    }

    /// Directories enough that reading them one by one would show.
    private func makeTree() throws -> String {
        let tree = folder + "/tree"
        for directory in 0..<40 { try FileTree.write("\(tree)/\(directory)/file", [UInt8](repeating: UInt8(directory), count: 3000)) }
        return tree
    }

    @Test("A snapshot of unchanged data takes fewer than 20, and the list of snapshots one")
    func unchanged() throws {
        defer { end() }
        let tree = try makeTree()
        let first = try run("snapshot", "files", tree, "--quiet")
        let again = try run("snapshot", "files", tree, "--quiet")
        #expect(again.requests.count < 20, "\(again.requests.joined(separator: "\n"))")
        let list = try run("snapshots", "--json")
        #expect(list.requests.count == 1 && list.requests[0].contains("list-type=2"), "\(list.requests)")
        #expect(list.text.contains(first.text) && list.text.contains(again.text))
    }

    @Test("What is cached may be deleted or damaged at any time, and nothing says what only the store knows")
    func notTrusted() throws {
        defer { end() }
        let tree = try makeTree()
        let kept = try run("snapshot", "files", tree, "--quiet").text
        let list = try run("snapshots").text
        let copies = FileTree.files(folder + "/cache").filter { $0.contains("/objects/") }
        #expect(!copies.isEmpty)
        for copy in copies { try FileTree.write(copy, Array("rubbish".utf8)) }
        #expect(try run("snapshots").text == list)
        try run("snapshot", "files", tree, "--quiet")
        #expect(try run("ls", kept, tree).text.contains("39"))
        FileTree.remove(folder + "/cache")
        #expect(try run("ls", kept, tree).text.contains("39"))
        try run("check", "--read-data")

        // What the store lost, a check sees, whatever is here.
        try run("snapshot", "files", tree, "--quiet")
        let store = try SeaweedServer.running().store(prefix)
        try store.delete(store.list("packs/").map(\.key))
        #expect(try program.run("check").status == 12)

        // A repository that is gone has no snapshots to be told of.
        try store.delete(store.list("").map(\.key))
        #expect(try program.run("snapshots").status == 10)
    }

    @Test("A key that was removed and a repository that is another are noticed")
    func changedKeys() throws {
        defer { end() }
        try run("snapshot", "files", try makeTree(), "--quiet")
        try run("snapshots")
        let password = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"])
        let store = try SeaweedServer.running().store(prefix)
        try store.delete(store.list("").map(\.key))
        #expect(try password.run("init").status == 0)
        #expect(try password.run("snapshot", "files", folder + "/tree", "--quiet").status == 0)
        let outcome = try program.run("snapshots")
        #expect(outcome.status == 11, "the key is of the repository that was there: \(outcome)")
    }

    @Test("The log goes there with at most two puts a segment, few of them in a queue, and comes back with one request")
    func log() throws {
        defer { end() }
        let server = try PostgresServer(initdb: ["--wal-segsize=1"])
        defer { server.remove() }
        try server.start()
        try server.sql("CREATE TABLE t(i int)")
        var names: [String] = []
        for _ in 0..<20 {
            names.append(try server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())"))
            try server.sql("INSERT INTO t VALUES (1); SELECT pg_switch_wal()")
        }
        for name in names.prefix(3) {
            let puts = try run("wal", "push", "\(server.data)/pg_wal/\(name)", "--single").requests.filter { $0.hasPrefix("PUT") }
            #expect(puts.count <= 2, "\(puts)")
        }
        for name in names.dropFirst(3) { try FileTree.write("\(server.data)/pg_wal/archive_status/\(name).ready", []) }
        var puts = 0
        for name in names.dropFirst(3) {
            puts += try run("wal", "push", "\(server.data)/pg_wal/\(name)").requests.filter { $0.hasPrefix("PUT") }.count
        }
        #expect(Double(puts) / Double(names.count - 3) < 0.3, "\(puts) puts")

        let system = try server.sql("SELECT system_identifier FROM pg_control_system()")
        func get(_ name: String) throws -> [String] {
            let requests = try run("wal", "get", name, folder + "/segment", "--system-identifier", system, "--no-prefetch").requests
            #expect(try FileTree.read(folder + "/segment") == FileTree.read("\(server.data)/pg_wal/\(name)"))
            return requests
        }
        _ = try get(names[0])
        let requests = try get(names[1])
        #expect(requests.count == 1, "\(requests)")
        _ = try get(names[10])
        #expect(try program.run("wal", "get", "0000000100000000000000FF", folder + "/absent", "--system-identifier", system).status == 1)
    }
}
