import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

@Suite("Contract of a store, behind SFTP")
struct SFTPConformanceTests {
    @Test("on OpenSSH", arguments: StoreConformance.checks)
    func openSSH(_ check: StoreConformance) throws {
        try check.run(on: SSHServer.running().store())
    }

    /// Every part of every object is a request, few are under way, and directories are read by twos.
    @Test(
        "on OpenSSH's server without SSH, in small requests",
        arguments: StoreConformance.checks.filter { check in
            !["one wins", "finds the winner", "64 MiB"].contains { check.description.contains($0) }
        })
    func small(_ check: StoreConformance) throws {
        var options = SFTPStore.Options()
        options.window = 3
        options.directories = 2
        options.transferMinimum = 0
        try check.run(on: RelayedServer(options: options).store())
    }

    @Test("A repository's directory can be opened as a local one, and the other way round")
    func sameFiles() throws {
        let server = try RelayedServer()
        let store = server.store()
        try store.put(StoreKey("packs/ab/one"), [1, 2, 3], .create)
        let local = try LocalStore(path: server.path, mustExist: true)
        #expect(try local.get(StoreKey("packs/ab/one"), atMost: 3) == [1, 2, 3])
        try local.put(StoreKey("config"), [4], .create)
        #expect(try store.get(StoreKey("config"), atMost: 3) == [4])
        #expect(try local.list("") == store.list("").sorted { $0.key.description > $1.key.description } || local.list("").count == 2)
        var strays = 0
        try local.strays { _ in strays += 1 }
        #expect(strays == 0, "no temporary file is left")
    }

    @Test("The probe finds OpenSSH safe, and leaves nothing behind")
    func probe() throws {
        var options = SFTPStore.Options()
        options.transferMinimum = 0
        let store = try SSHServer.running().store(options: options)
        let findings = try StoreProbe(store).run()
        #expect(findings.count >= 8 && findings.allSatisfy { $0.grade == .proven || $0.grade == .noted }, "\(findings)")
        #expect(try store.list("").isEmpty)
    }

    @Test("What broken puts left is removed when it is old by the server's clock, and nothing else")
    func abandoned() throws {
        let server = try RelayedServer()
        let store = server.store()
        try store.put(StoreKey("packs/ab/one"), [1], .create)
        for name in [".tmp-0123456789abcdef", "packs/ab/.tmp-0123456789abcdef", "packs/ab/.other"] { try server.write(name) }
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(3600)) == 0)
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(-60)) == 2)
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(-60)) == 0)
        #expect(server.exists("packs/ab/.other"))
        #expect(try store.list("").map(\.key) == [StoreKey("packs/ab/one")])
    }

    @Test("A directory that went away is a failure, not an empty repository")
    func vanished() throws {
        let server = try RelayedServer()
        let store = server.store()
        try store.put(StoreKey("packs/ab/one"), [1], .create)
        server.removeData()
        for call in [
            { _ = try store.stat(StoreKey("config")) }, { _ = try store.list("") }, { try store.put(StoreKey("packs/ab/two"), [1], .create) },
            { _ = try store.get(StoreKey("config"), atMost: 10) }, { try store.delete(StoreKey("config")) },
        ] as [() throws -> Void] {
            let error = #expect(throws: RepoError.self) { try call() }
            #expect(error?.code == .failed && error?.message.contains("unmounted") == true, "\(String(describing: error))")
        }
    }

    @Test("A directory that is not there is no repository")
    func absent() throws {
        let server = try RelayedServer()
        server.removeData()
        let error = #expect(throws: RepoError.self) { _ = try server.store(mustExist: true).stat(StoreKey("config")) }
        #expect(error?.code == .noRepository)
    }
}
