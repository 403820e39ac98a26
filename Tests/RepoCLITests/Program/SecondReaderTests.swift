import Foundation
import PostgresTesting
import Testing

/// `tools/read-repository`, which was written from docs/format.md alone, reads what the program writes. So the document is
/// right, and whoever loses the program loses nothing.
@Suite("The second reader")
struct SecondReaderTests {
    @Test("It restores every snapshot of a tree byte for byte, with its metadata")
    func restores() throws {
        let folder = try ProgramFolder()
        let tree = try SampleTree(at: "\(folder.path)/tree")
        for version in 1...3 {
            try tree.change(to: version)
            let made = try folder.program.run("snapshot", "files", tree.path, "--name", "tree", "--quiet")
            try #require(made.status == 0, "\(made)")
            let target = "\(folder.path)/target-\(version)"
            let restored = try folder.reader().run(folder.repository, "restore", "latest:tree", target)
            #expect(restored.status == 0, "\(restored)")
            #expect(try Described.tree("\(target)\(tree.path)") == Described.tree(tree.path))
            #expect(try Described.attributes("\(target)\(tree.path)") == Described.attributes(tree.path))
        }
        // The changes above are stored as deltas, or this would be three times the whole.
        let stored = FileTree.files("\(folder.repository)/packs").reduce(0) { $0 + FileTree.size($1) }
        #expect(stored < 2 * SampleTree.incompressibleBytes)
    }

    @Test("It restores one path, and prints one file")
    func parts() throws {
        let folder = try ProgramFolder()
        let tree = try SampleTree(at: "\(folder.path)/tree")
        let made = try folder.program.run("snapshot", "files", tree.path, "--name", "tree", "--quiet")
        try #require(made.status == 0, "\(made)")
        let target = "\(folder.path)/target"
        let restored = try folder.reader().run(folder.repository, "restore", made.text, target, "\(tree.path)/many")
        #expect(restored.status == 0, "\(restored)")
        #expect(try Described.tree(target) == Described.tree("\(tree.path)/many"))
        for name in ["dump.sql", "sparse", "empty"] {
            let read = try folder.reader().run(folder.repository, "cat", "latest", "\(tree.path)/\(name)")
            #expect(read.status == 0, "\(read)")
            #expect(try read.output == FileTree.read("\(tree.path)/\(name)"), "\(name)")
        }
        let listed = try folder.reader().run(folder.repository, "ls", "latest", tree.path)
        #expect(listed.text.contains("sparse") && listed.text.contains("dump.sql"), "\(listed)")
    }

    @Test("It needs neither the repository's place nor its index", arguments: [true, false])
    func withoutIndex(whole: Bool) throws {
        let folder = try ProgramFolder()
        var numbers = SeededNumbers(seed: 5)
        let contents = (0..<3).map { _ in numbers.bytes(700_000) }
        let ids = try contents.map { try folder.snapshot("stream", $0) }
        let moved = "\(folder.path)/elsewhere"
        try #require(rename(folder.repository, moved) == 0)
        let segments = FileTree.files("\(moved)/index")
        try #require(segments.count > 1)
        for segment in whole ? segments[...] : segments.prefix(1) { FileTree.remove(segment) }
        for (id, content) in zip(ids, contents) {
            let read = try folder.reader().run("file:\(moved)", "cat", id, "stream")
            #expect(read.status == 0, "\(read)")
            #expect(read.output == content)
        }
    }

    @Test("It names damage, delivers everything else, and never a wrong byte", arguments: ["flip", "cut", "gone"])
    func damage(kind: String) throws {
        let folder = try ProgramFolder()
        var numbers = SeededNumbers(seed: 7)
        let tree = "\(folder.path)/tree"
        var contents: [String: [UInt8]] = [:]
        for name in ["a", "b"] {
            contents[name] = numbers.bytes(10_000_000)
            try FileTree.write("\(tree)/\(name)", contents[name]!)
        }
        let made = try folder.program.run("snapshot", "files", tree, "--name", "tree", "--quiet")
        try #require(made.status == 0, "\(made)")
        // The largest pack holds chunks, and not all of them.
        let packs = FileTree.files("\(folder.repository)/packs").sorted { FileTree.size($0) < FileTree.size($1) }
        try #require(packs.count > 2)
        let damaged = packs.last!
        switch kind {
        case "flip":
            var bytes = try FileTree.read(damaged)
            bytes[bytes.count / 2] ^= 1
            try FileTree.write(damaged, bytes)
        case "cut": try #require(truncate(damaged, off_t(FileTree.size(damaged) / 2)) == 0)
        default: FileTree.remove(damaged)
        }
        let target = "\(folder.path)/target"
        let restored = try folder.reader().run(folder.repository, "restore", "latest", target)
        #expect(restored.status == 12, "\(restored)")
        #expect(restored.errors.contains(damaged.split(separator: "/").last!), "\(restored)")
        let delivered = FileTree.files("\(target)\(tree)")
        // A flipped bit hurts one chunk, so one file.
        #expect(delivered.count == (kind == "flip" ? 1 : delivered.count) && delivered.count < 2)
        for file in delivered {
            #expect(try FileTree.read(file) == contents[String(file.split(separator: "/").last!)])
        }
    }

    @Test("It tells a wrong key, a writer's key and a missing repository by the program's exit codes")
    func refusals() throws {
        let folder = try ProgramFolder()
        let reader = try folder.reader()
        let password = ["REPO_KEY_FILE": nil, "REPO_PASSWORD": ProgramFolder.password as String?]
        #expect(try reader.with(password).run(folder.repository, "snapshots").status == 0)
        let wrong = try reader.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "something else"])
        #expect(try wrong.run(folder.repository, "snapshots").status == 11)
        #expect(try reader.run(folder.path, "snapshots").status == 10)
        let key = "\(folder.path)/writer.key"
        let added = try folder.program.run("key", "add", "--writer", "--out", key)
        try #require(added.status == 0, "\(added)")
        let refused = try reader.run("--key-file", key, folder.repository, "snapshots")
        #expect(refused.status == 11 && refused.errors.contains("can write and not read"), "\(refused)")
    }

    @Test("It brings PostgreSQL's log back: segments by themselves and in batches, and histories; and names a damaged object")
    func log() throws {
        let folder = try ProgramFolder()
        let server = try PostgresServer(initdb: ["--wal-segsize=1"], settings: ["wal_keep_size = 1GB", "max_wal_size = 1GB"])
        defer { server.remove() }
        try server.start()
        try server.sql("CREATE TABLE t AS SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 20000) i")
        try server.sql("SELECT pg_switch_wal()")
        try server.stop()
        let wal = server.data + "/pg_wal"
        let names = FileTree.files(wal).map { String($0.split(separator: "/").last!) }.filter { $0.utf8.count == 24 }.sorted()
        try #require(names.count > 6)
        try FileTree.write("\(wal)/00000002.history", Array("1\t0/300028\tno recovery target specified\n".utf8))
        // One by itself, four as a queue, and a history.
        for name in names[2...4] { try FileTree.write("\(wal)/archive_status/\(name).ready", []) }
        for name in ["\(names[0])", "\(names[1])", "00000002.history"] {
            let pushed = try folder.program.run("wal", "push", "\(wal)/\(name)")
            try #require(pushed.status == 0, "\(pushed)")
        }
        let objects = FileTree.files("\(folder.repository)/wal")
        #expect(objects.count == 3)

        let listed = try folder.reader().run(folder.repository, "wal")
        #expect(listed.status == 0 && listed.text.split(separator: "\n").count == 6, "\(listed)")
        let target = "\(folder.path)/log"
        let brought = try folder.reader().run(folder.repository, "wal-get", "all", target)
        #expect(brought.status == 0, "\(brought)")
        #expect(FileTree.files(target).count == 6)
        for name in names[0...4] + ["00000002.history"] {
            #expect(try FileTree.read("\(target)/\(name)") == FileTree.read("\(wal)/\(name)"), "\(name)")
        }
        #expect(try folder.reader().run(folder.repository, "wal-get", names[5], "\(folder.path)/one").status == 1)

        let batch = try #require(objects.first { $0.split(separator: "/").last!.contains("-") })
        var bytes = try FileTree.read(batch)
        bytes[bytes.count - 5] ^= 1
        try FileTree.write(batch, bytes)
        let damaged = try folder.reader().run(folder.repository, "wal-get", names[4], "\(folder.path)/two")
        #expect(damaged.status == 12 && damaged.errors.contains(batch.split(separator: "/").last!), "\(damaged)")
        #expect(access("\(folder.path)/two", F_OK) != 0)
        #expect(try folder.reader().run(folder.repository, "wal-get", names[1], "\(folder.path)/three").status == 0)
    }

    @Test("It reads the golden repository of format version 1")
    func golden() throws {
        let folder = try ProgramFolder()
        let fixtures = Project.path + "/Tests/RepositoryTests/Fixtures"
        let reader = try folder.reader().with(["REPO_KEY_FILE": "\(fixtures)/repository-v1.key"])
        let listed = try reader.run("\(fixtures)/repository-v1", "snapshots")
        #expect(listed.status == 0 && listed.text.split(separator: "\n").count == 3, "\(listed)")
        let target = "\(folder.path)/target"
        for name in ["latest", "30", "92"] {
            let restored = try reader.run("\(fixtures)/repository-v1", "restore", name, "\(target)/\(name)")
            #expect(restored.status == 0, "\(restored)")
        }
        // What b2sum gave when it was made: see GoldenRepositoryTests+Expected.swift.
        let digests = try ProgramUnderTest(folder: folder.path, executable: "/usr/bin/b2sum")
            .run(["-l", "256"] + FileTree.files(target).filter { !$0.hasSuffix("/fifo") }).text
        for digest in [
            "b5f62d558e06c58cfd77a591a952464f61d91f42d7fac8e04a0589ee52f16e30",
            "4f2d4ea9c349e9c9d41e2342f23529dd7f602d9d601c129f5c5e04ea3e80f24c",
            "16d99be0860337cd3311350888828a2b0d5a1a3dec5611d3be5231dfb7be89ef",
            "649f31f5a70f83107dff0cd1c52530ab510bb2a06bcd874f238bbcc05622b6d7",
            "4712d55e95780020f0f54d022178b0232ad1c852cb7e734bc8e5ecb24127311b",
        ] { #expect(digests.contains(digest)) }
    }
}

extension ProgramFolder {
    /// `tools/read-repository` with this folder's key.
    func reader() throws -> ProgramUnderTest {
        let path = Project.path + "/tools/read-repository"
        try #require(access(path, X_OK) == 0, "\(path) is missing")
        return ProgramUnderTest(
            folder: self.path, environment: ["REPO_KEY_FILE": "\(self.path)/machine.key", "LANG": "C.UTF-8"], executable: path)
    }
}

/// The checked-out project that these tests are of.
enum Project {
    static let path = #filePath.split(separator: "/").dropLast(4).reduce(into: "") { $0 += "/" + $1 }
}
