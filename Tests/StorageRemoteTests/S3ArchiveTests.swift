import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

/// On moto, which has archival tiers.
@Suite("Archival tiers of S3")
struct S3ArchiveTests {
    private let key = StoreKey("packs/aa/one")
    private let request = ThawRequest(days: 3, tier: .bulk)

    private func isArchived(_ call: () throws -> Void) -> Bool {
        do { try call() } catch { return (error as? RepoError)?.code == .archived }
        return false
    }

    @Test("Data goes to the class that was chosen, everything else never", arguments: ["GLACIER", "DEEP_ARCHIVE"])
    func classes(_ name: String) throws {
        let store = try ArchivingServer.running().store(location: "storage-class=\(name)")
        try store.putData(key, [1, 2, 3], .create)
        try store.put(StoreKey("packs/bb/metadata"), [4], .create)
        try store.put(StoreKey("snapshots/aa"), [5], .create)
        #expect(try store.stat(key)?.availability == .archived)
        #expect(Set(try store.list("").filter { $0.availability == .archived }.map(\.key)) == [key])
        #expect(try store.get(StoreKey("packs/bb/metadata"), atMost: 10) == [4])
        #expect(isArchived { _ = try store.get(key, atMost: 10) })
        #expect(isArchived {
            var buffer = [UInt8](repeating: 0, count: 2)
            _ = try buffer.withUnsafeMutableBytes { try store.read(key, at: 0, into: $0) }
        })
        #expect(throws: RepoError.self) { try store.putData(key, [1, 2, 3], .create) }
    }

    @Test("An archived object is asked for once, is on its way, and can be read when it is there")
    func broughtBack() throws {
        let server = try ArchivingServer()
        defer { server.stop() }
        try server.setLooksUntilThere(2)
        let store = try server.store(location: "storage-class=GLACIER")
        try store.putData(key, [1, 2, 3], .create)
        try store.thaw(key, request)
        try store.thaw(key, request)
        #expect(try store.stat(key)?.availability == .thawing)
        for _ in 0..<4 { _ = try store.stat(key) }
        #expect(try store.stat(key)?.availability == .ready)
        #expect(try store.get(key, atMost: 10) == [1, 2, 3])
        #expect(try store.list("").first?.availability == .archived, "a listing tells the class alone")
    }

    @Test("Data in parts goes to its class as well")
    func parts() throws {
        var options = S3Store.Options()
        options.largestSinglePut = 1 << 20
        options.largestRacedPut = 1 << 20
        options.partBytes = 5 << 20
        let location = try S3Location(parsing: String(try ArchivingServer.running().location("parts", options: "storage-class=GLACIER").dropFirst(3)))
        let store = try S3Store(location, environment: { SeaweedServer.environment[$0] }, options: options)
        try store.putData(key, [UInt8](repeating: 1, count: 6 << 20), .create)
        #expect(try store.stat(key)?.availability == .archived)
    }

    @Test(
        "What headers say of an object",
        arguments: [
            ([], Availability.ready), ([("x-amz-storage-class", "STANDARD_IA")], .ready), ([("x-amz-storage-class", "GLACIER_IR")], .ready),
            ([("x-amz-storage-class", "GLACIER")], .archived), ([("x-amz-storage-class", "DEEP_ARCHIVE"), ("x-amz-restore", "ongoing-request=\"true\"")], .thawing),
            ([("x-amz-storage-class", "GLACIER"), ("x-amz-restore", "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2026 00:00:00 GMT\"")], .ready),
            ([("x-amz-storage-class", "INTELLIGENT_TIERING")], .ready),
            ([("x-amz-storage-class", "INTELLIGENT_TIERING"), ("x-amz-archive-status", "ARCHIVE_ACCESS")], .archived),
        ])
    func headers(_ headers: [(String, String)], _ availability: Availability) {
        var response = HTTPResponse()
        for (name, value) in headers { response.add("\(name): \(value)") }
        #expect(S3StorageClass.availability(response) == availability)
    }
}
