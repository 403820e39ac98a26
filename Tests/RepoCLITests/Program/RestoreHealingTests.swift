import Glibc
import PostgresTesting
import Testing

/// `repo restore` with a copy at hand that is whole.
@Suite("Restores that heal from a copy")
struct RestoreHealingTests {
    private let folder: ProgramFolder
    private let tree: SampleTree
    private let snapshot: String

    init() throws {
        folder = try ProgramFolder()
        tree = try SampleTree(at: "\(folder.path)/tree")
        let made = try folder.program.run("snapshot", "files", tree.path, "--name", "files", "--quiet")
        try #require(made.status == 0, "\(made)")
        snapshot = made.text
    }

    /// The largest object of a kind.
    private func largest(_ kind: String) throws -> String {
        func size(_ path: String) -> Int { (try? FileTree.read(path).count) ?? 0 }
        return try #require(FileTree.files("\(folder.repository)/\(kind)").max { size($0) < size($1) })
    }

    private func flip(_ path: String) throws {
        var bytes = try FileTree.read(path)
        bytes[bytes.count / 2] ^= 4
        try #require(chmod(path, 0o600) == 0)
        try FileTree.write(path, bytes)
    }

    /// How to name a copy, which has this repository's keys or its own.
    private func makeCopy(sharesKeys: Bool) throws -> [String] {
        let path = "\(folder.path)/other"
        let key = "\(folder.path)/other.key"
        let fresh = try folder.program.with(["REPO_URL": path, "REPO_KEY_FILE": nil, "REPO_PASSWORD": "another password"])
        var runs: [(ProgramUnderTest, [String])] = [(folder.program, ["init", "--repo", path, "--copy-of", folder.repository])]
        if !sharesKeys { runs = [(fresh, ["init"]), (fresh, ["key", "add", "--out", key])] }
        runs.append((folder.program, ["copy", "--to", path] + (sharesKeys ? [] : ["--to-key-file", key])))
        for (program, arguments) in runs {
            let outcome = try program.run(arguments)
            try #require(outcome.status == 0, "\(arguments): \(outcome)")
        }
        return ["--heal-from", path] + (sharesKeys ? [] : ["--heal-key-file", key])
    }

    @Test("Everything is restored, and the repository is whole again", arguments: [true, false])
    func files(sharesKeys: Bool) throws {
        let heal = try makeCopy(sharesKeys: sharesKeys)
        for round in 0..<2 {
            let pack = try largest("packs")
            if round == 0 { try flip(pack) } else { try #require(unlink(pack) == 0) }
            let alone = try folder.program.run("restore", snapshot, "--target", "\(folder.path)/alone\(round)")
            #expect(alone.status == 12, "\(alone)")
            let target = "\(folder.path)/whole\(round)"
            let healed = try folder.program.run(["restore", snapshot, "--target", target] + heal)
            #expect(healed.status == 0 && healed.errors.contains("healed from"), "\(healed) \(healed.text)")
            #expect(try Described.tree(target + tree.path) == Described.tree(tree.path))
            let checked = try folder.program.run("check", "--read-data")
            #expect(checked.status == 0, "\(checked) \(checked.text)")
        }
    }

    @Test("Configured copies are tried in turn")
    func configured() throws {
        _ = try makeCopy(sharesKeys: true)
        try FileTree.write(
            "\(folder.path)/config.toml", Array("[[copy]]\nurl = \"\(folder.path)/absent\"\n[[copy]]\nurl = \"\(folder.path)/other\"\n".utf8))
        let program = try folder.program.with(["REPO_CONFIG": "\(folder.path)/config.toml"])
        try flip(largest("packs"))
        let healed = try program.run("restore", snapshot, "--target", "\(folder.path)/whole", "--heal")
        #expect(healed.status == 0 && healed.errors.contains("absent"), "\(healed) \(healed.text)")
        #expect(try Described.tree("\(folder.path)/whole" + tree.path) == Described.tree(tree.path))
    }

    @Test("What stands in the target is not written over because something was healed")
    func targetIsKept() throws {
        let heal = try makeCopy(sharesKeys: true)
        let target = "\(folder.path)/taken"
        try FileTree.write("\(target)/mine", [1, 2, 3])
        let before = FileTree.files(target)
        // Met before the target is looked at, and while it is written to.
        for kind in ["snapshots", "packs"] {
            try flip(largest(kind))
            let refused = try folder.program.run(["restore", snapshot, "--target", target] + heal)
            #expect(refused.status != 0 && refused.errors.contains("not empty"), "\(kind): \(refused)")
            #expect(FileTree.files(target) == before)
        }
    }

    @Test("Without damage the copy is not asked")
    func unneeded() throws {
        let outcome = try folder.program.run(
            "restore", snapshot, "--target", "\(folder.path)/whole", "--heal-from", "\(folder.path)/absent")
        #expect(outcome.status == 0, "\(outcome)")
        let nothing = try folder.program.run("restore", snapshot, "--target", "\(folder.path)/again", "--heal")
        #expect(nothing.status == 2 && nothing.errors.contains("no copy is configured"), "\(nothing)")
    }

    @Test("A segment that is missing or damaged comes back, and recovery goes on from there", .timeLimit(.minutes(5)))
    func log() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) i")
        try archived.snapshot()
        for _ in 0..<3 {
            try server.sql("INSERT INTO t SELECT generate_series(1, 1000)")
            try archived.archiveAll()
        }
        try server.sql("SELECT pg_create_restore_point('end')")
        try archived.archiveAll()
        try server.stop()
        let other = archived.folder.path + "/other"
        try archived.run("init --repo \(other) --copy-of \(archived.folder.repository)")
        try archived.run("copy --to \(other)")
        let segments = FileTree.files(archived.folder.repository + "/wal").filter { $0.split(separator: "/").last?.count == 24 }.sorted()
        try #require(segments.count >= 3)
        for isMissing in [true, false] {
            let segment = segments[segments.count - 2]
            if isMissing {
                try #require(unlink(segment) == 0)
            } else {
                try flip(segment)
                try PostgresServer.own(segment)
            }
            let cluster = try RecoveredCluster()
            let restore = "--source main-db --target-name end --start --action shutdown"
            let alone = try archived.restore(restore, into: cluster)
            #expect(alone.status == (isMissing ? 13 : 12), "\(alone)")
            let healed = try archived.restore("\(restore) --heal-from \(other)", into: cluster)
            #expect(healed.status == 0, "\(healed)")
        }
    }
}
