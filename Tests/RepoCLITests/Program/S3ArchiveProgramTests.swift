import Glibc
import PostgresTesting
import StorageTesting
import Testing

/// The program on a server with archival tiers.
@Suite("A repository whose data is in an archival tier", .serialized)
struct S3ArchiveProgramTests {
    private let folder: String
    private let program: ProgramUnderTest
    private let server: ArchivingServer

    init() throws {
        var template = Array("/tmp/s3-archive-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        server = try ArchivingServer()
        program = ProgramUnderTest(
            folder: folder,
            environment: SeaweedServer.environment.merging([
                "REPO_URL": server.location("db", options: "storage-class=DEEP_ARCHIVE"), "REPO_CACHE_DIR": folder + "/cache", "REPO_CONFIG": "/dev/null",
                "REPO_KEY_FILE": folder + "/key", "REPO_THAW_SECONDS": "1",
            ]) { $1 })
        // moto keeps no promise to several writers, so that the probe refuses it now and then: made on a disk, and brought there object by object.
        let made = folder + "/made"
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret", "REPO_URL": made])
        for command in [["init"], ["key", "add", "--out", folder + "/key"]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(outcome)")
        }
        let store = try server.store("db")
        for file in FileTree.files(made) {
            try store.put(.init(String(file.dropFirst(made.utf8.count + 1))), try FileTree.read(file), .create)
        }
    }

    private func end() {
        server.stop()
        FileTree.remove(folder)
    }

    @discardableResult
    private func run(_ arguments: String..., expecting status: Int32 = 0) throws -> ProgramUnderTest.Outcome {
        let outcome = try program.run(arguments)
        #expect(outcome.status == status, "\(arguments): \(outcome)")
        return outcome
    }

    @Test("A restore says what it needs of the archive before anything is touched, brings it back when told, and goes on")
    func restore() throws {
        defer { end() }
        var numbers = SeededNumbers(seed: 1)
        let tree = folder + "/tree"
        try FileTree.write(tree + "/a", numbers.bytes(400_000))
        let first = try run("snapshot", "files", tree, "--quiet").text
        try FileTree.write(tree + "/b", numbers.bytes(400_000))
        let second = try run("snapshot", "files", tree, "--quiet").text
        #expect(try run("ls", second, tree).text.contains("/b"), "lists and trees are never there")
        let store = try server.store("db")
        let archived = try store.list("").filter { $0.availability == .archived }
        #expect(archived.count == 2 && archived.allSatisfy { $0.key.description.hasPrefix("packs/") })

        let target = folder + "/target"
        let refused = try run("restore", second, "--target", target, expecting: 15)
        #expect(refused.errors.contains("2 packs, ") && refused.errors.contains("are in an archival tier") && refused.errors.contains("--thaw"), "\(refused)")
        #expect(access(target, F_OK) != 0)
        let one = try run("restore", second, "--include", tree + "/b", "--target", target, expecting: 15)
        #expect(one.errors.contains("1 pack, "), "\(one)")
        try run("cat", first, tree + "/a", expecting: 15)

        try server.setLooksUntilThere(4)
        let asked = try run("restore", first, "--target", target, "--thaw", "--no-wait", expecting: 75)
        #expect(asked.errors.contains("1 pack, ") && asked.errors.contains("again with --thaw at "), "\(asked)")
        #expect(access(target, F_OK) != 0)
        let came = try run("restore", second, "--target", target, "--thaw", "--thaw-days", "2")
        #expect(came.errors.contains("on the way from the archive"), "\(came)")
        for name in ["a", "b"] { #expect(try FileTree.read(target + tree + "/" + name) == FileTree.read(tree + "/" + name)) }
        try run("restore", first, "--target", folder + "/other")
        #expect(try run("cat", first, tree + "/a").output == FileTree.read(tree + "/a"), "what is back needs no option")
    }

    @Test("A check leaves out what is archived and says so, a prune does not rewrite it, and what nobody needs goes")
    func checkAndPrune() throws {
        defer { end() }
        var numbers = SeededNumbers(seed: 2)
        let tree = folder + "/tree"
        let kept = numbers.bytes(300_000)
        for name in ["gone", "same"] { try FileTree.write(tree + "/" + name, numbers.bytes(300_000)) }
        try FileTree.write(tree + "/kept", kept)
        let first = try run("snapshot", "files", tree, "--quiet").text
        try run("check")
        let check = try run("check", "--read-data", "--json")
        #expect(check.text.contains("\"archived_packs\" : 1,"), "\(check.text)")
        #expect(try run("check", "--read-data").errors.contains("1 pack, "))
        unlink(tree + "/gone")
        // What has changed a little is stored although no base of it can be read.
        var changed = kept
        changed[1000] ^= 1
        try FileTree.write(tree + "/kept", changed)
        let second = try run("snapshot", "files", tree, "--quiet").text
        try run("forget", first)
        let left = try run("prune", "--max-unused", "0%", "--verbose")
        #expect(left.errors.contains("1 pack with more garbage than may stay"), "\(left) \(left.text)")
        #expect(try server.store("db").list("packs/").filter { $0.availability == .archived }.count == 2)
        let refused = try run("prune", "--max-unused", "0%", "--rewrite-archived", expecting: 12)
        #expect(refused.errors.contains("is kept: ") && refused.errors.contains("InvalidObjectState"), "\(refused)")
        try run("restore", second, "--target", folder + "/target", "--thaw")
        #expect(try FileTree.read(folder + "/target" + tree + "/kept") == changed)
        #expect(try !run("check", "--read-data", "--read-archived", "--json").text.contains("archived_packs"))
        let rewritten = try run("prune", "--max-unused", "0%", "--rewrite-archived", "--json")
        #expect(rewritten.number("packs_rewritten") ?? 0 > 0 && rewritten.number("bytes_freed") ?? 0 > 600_000, "\(rewritten.text)")
        try run("check")
        try run("restore", second, "--target", folder + "/last", "--thaw")
        #expect(try FileTree.read(folder + "/last" + tree + "/kept") == changed)
    }

    @Test("A copy says what it needs of the archive before anything is sent, brings it back when told, and needs no more than what is lacking there", arguments: [true, false])
    func copied(isTwin: Bool) throws {
        defer { end() }
        var numbers = SeededNumbers(seed: 3)
        let tree = folder + "/tree"
        try FileTree.write(tree + "/a", numbers.bytes(400_000))
        let first = try run("snapshot", "files", tree, "--quiet").text
        let copy = folder + "/copy"
        let there = try program.with(["REPO_URL": copy, "REPO_CACHE_DIR": folder + "/cache2"].merging(isTwin ? [:] : ["REPO_KEY_FILE": nil, "REPO_PASSWORD": "other"]) { $1 })
        let made = try isTwin ? there.with(["REPO_URL": nil]).run("init", "--repo", copy, "--copy-of", #require(program.environment["REPO_URL"])) : there.run("init")
        #expect(made.status == 0, "\(made)")
        try FileTree.write(folder + "/password", Array("other".utf8))
        let to = ["--to", copy] + (isTwin ? [] : ["--to-password-file", folder + "/password"])
        let refused = try program.run(["copy"] + to)
        #expect(refused.status == 15 && refused.errors.contains("1 pack, "), "\(refused)")
        #expect(refused.errors.contains("that this copy needs is in an archival tier"), "\(refused)")
        #expect(try there.run("snapshots").text.contains(first.prefix(8)) == false)
        try server.setLooksUntilThere(2)
        let asked = try program.run(["copy", "--thaw", "--no-wait"] + to)
        #expect(asked.status == 75, "\(asked)")
        let came = try program.run(["copy", "--thaw"] + to)
        #expect(came.status == 0, "\(came)")
        try FileTree.write(tree + "/b", numbers.bytes(300_000))
        let second = try run("snapshot", "files", tree, "--quiet").text
        // What is there already is not asked for again.
        let more = try program.run(["copy"] + to)
        #expect(more.status == 15 && more.errors.contains("1 pack, "), "\(more)")
        let last = try program.run(["copy", "--thaw"] + to)
        #expect(last.status == 0, "\(last)")
        let check = try there.run("check", "--read-data")
        #expect(check.status == 0, "\(check)")
        for name in ["a", "b"] { #expect(try there.run("cat", "latest", tree + "/" + name).output == FileTree.read(tree + "/" + name), "\(second)") }
    }

    @Test("A cluster is recovered only after its base backup was brought back; its log is never in the archive")
    func cluster() throws {
        defer { end() }
        let postgres = try PostgresServer(initdb: ["--wal-segsize=1"])
        defer { postgres.remove() }
        try postgres.start()
        try run("snapshot", "postgres", "--dsn", postgres.connectionString, "--name", "main-db", "--with-wal", "--quiet")
        try postgres.sql("CREATE TABLE t(i int)")
        try postgres.sql("SELECT pg_switch_wal()")
        let whole = try postgres.sql(
            "SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' AND name < pg_walfile_name(pg_current_wal_lsn()) ORDER BY name")
        for name in whole.split(separator: "\n") { try run("wal", "push", "\(postgres.data)/pg_wal/\(name)") }
        let archived = try server.store("db").list("").filter { $0.availability == .archived }
        #expect(!archived.isEmpty && archived.allSatisfy { $0.key.description.hasPrefix("packs/") })
        let target = folder + "/recovered"
        let words = ["restore", "--source", "main-db", "--target-immediate", "--target", target]
        let refused = try program.run(words)
        #expect(refused.status == 15 && refused.errors.contains("in an archival tier"), "\(refused)")
        #expect(access(target, F_OK) != 0)
        let came = try program.run(words + ["--thaw"])
        #expect(came.status == 0, "\(came)")
        #expect(access(target + "/PG_VERSION", F_OK) == 0 && access(target + "/recovery.signal", F_OK) == 0)
    }
}
