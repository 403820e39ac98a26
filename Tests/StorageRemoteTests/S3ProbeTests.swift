import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

@Suite("Probing a store")
struct S3ProbeTests {
    @Test func seaweedIsSafe() throws {
        let store = try SeaweedServer.running().store()
        let findings = try StoreProbe(store).run()
        #expect(findings.count >= 9 && findings.allSatisfy { $0.grade == .proven || $0.grade == .noted }, "\(findings)")
        #expect(try store.list("").isEmpty, "nothing is left")
    }

    @Test func aServerThatOverwritesIsNot() throws {
        let server = try RcloneServer()
        defer { server.stop() }
        let location = try S3Location(parsing: String(server.location.dropFirst(3)))
        let store = try S3Store(location, environment: { SeaweedServer.environment[$0] })
        let findings = try StoreProbe(store).run()
        #expect(findings.first { $0.subject == "create-only puts" }?.grade == .unsafe, "\(findings)")
    }

    /// A store that keeps the contract except in one thing.
    private struct Odd: Store {
        enum Fault: CaseIterable { case overwrites, ignores, twoWinners, staleReads, staleLists, halfLists, wrongRanges, keepsDeleted }
        let base = MemoryStore()
        let fault: Fault
        let calls = Monitor(0)
        var location: String { "odd" }

        func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
            if fault == .overwrites { return try base.put(key, bytes, .replace) }
            if fault == .twoWinners, key.description.contains("race"), calls.withLock({ $0 += 1; return $0 }) % 5 == 0 { return }
            if fault == .staleReads, mode == .replace, try base.stat(key) != nil { return }
            do { try base.put(key, bytes, mode) } catch { if fault != .ignores { throw error } }
        }
        func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
            try base.read(key, at: fault == .wrongRanges ? 0 : offset, into: buffer)
        }
        func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
        func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
            if fault == .staleLists { return }
            var count = 0
            try base.list(prefix) { object in
                count += 1
                if fault != .halfLists || count < 10 { try body(object) }
            }
        }
        func makeDurable(_ key: StoreKey) throws {}
        func delete(_ key: StoreKey) throws { if fault != .keepsDeleted { try base.delete(key) } }
    }

    @Test("Whatever a store breaks of the contract is found", arguments: Odd.Fault.allCases)
    private func found(_ fault: Odd.Fault) throws {
        #expect(try StoreProbe(Odd(fault: fault)).run().contains { $0.grade == .unsafe })
    }

    @Test func aStoreInMemoryIsSafe() throws {
        #expect(try !StoreProbe(MemoryStore()).run().contains { $0.grade != .proven })
    }

    @Test(
        "Rules of a bucket's lifecycle are told by what they would do to a repository",
        arguments: [
            ("<Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>30</Days></Expiration>", StoreFinding.Grade.unsafe),
            ("<Status>Enabled</Status><Prefix>backup</Prefix><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>", .unsafe),
            ("<Status>Enabled</Status><Filter><And><Prefix>backup/db/snapshots/</Prefix></And></Filter><Expiration><Days>1</Days></Expiration>", .unsafe),
            ("<Status>Disabled</Status><Prefix></Prefix><Expiration><Days>30</Days></Expiration>", nil),
            ("<Status>Enabled</Status><Prefix>logs/</Prefix><Expiration><Days>30</Days></Expiration>", nil),
            ("<Status>Enabled</Status><Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>", nil),
            ("<Status>Enabled</Status><Prefix></Prefix><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>", nil),
            ("<Status>Enabled</Status><Prefix></Prefix><NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays></NoncurrentVersionExpiration>", nil),
            ("<Status>Enabled</Status><Prefix></Prefix><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>", nil),
            ("<Status>Enabled</Status><Prefix></Prefix><Transition><Days>9</Days><StorageClass>GLACIER</StorageClass></Transition>", .unsafe),
            ("<Status>Enabled</Status><Prefix>backup/db/packs/</Prefix><Transition><Days>9</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>", .warning),
            ("<Status>Enabled</Status><Prefix></Prefix><Transition><Days>9</Days><StorageClass>STANDARD_IA</StorageClass></Transition>", nil),
        ])
    func lifecycle(_ rule: String, _ grade: StoreFinding.Grade?) throws {
        let document = try XMLElement(parsing: Array("<Rule><ID>one</ID>\(rule)</Rule>".utf8))
        #expect(S3LifecycleRule(document)?.finding("lifecycle rules", for: "backup/db/")?.grade == grade)
    }
}
