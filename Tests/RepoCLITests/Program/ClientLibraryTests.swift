import Testing

/// libpq and what it brings along takes longer to load than everything else at the start of the program.
@Suite("PostgreSQL's client library")
struct ClientLibraryTests {
    @Test("it is not loaded by a program that starts")
    func notAtStart() throws {
        let folder = try ProgramFolder()
        // What ldd(1) does: the dynamic linker lists what it would load.
        let listed = try folder.program.with(["LD_TRACE_LOADED_OBJECTS": "1"]).run("--version")
        #expect(listed.text.contains("libcrypto") && !listed.text.contains("libpq") && !listed.text.contains("libldap"), "\(listed.text)")
    }

    @Test("a system without it is told what to install, and everything else works")
    func missing() throws {
        let folder = try ProgramFolder()
        try FileTree.write("\(folder.path)/libraries/libpq.so.5", [1, 2, 3])
        let program = try folder.program.with(["LD_LIBRARY_PATH": "\(folder.path)/libraries"])
        let refused = try program.run("snapshot", "postgres", "--dsn", "host=/nowhere")
        #expect(refused.status == 1 && refused.errors.contains("client library cannot be loaded"), "\(refused)")
        #expect(refused.errors.contains("libpq5"))
        #expect(try program.run("snapshots").status == 0)
        #expect(try program.run("wal", "status").status == 0)
    }
}
