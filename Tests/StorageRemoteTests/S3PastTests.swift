import Glibc
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

@Suite("A bucket as it was")
struct S3PastTests {
    /// The next second, since versions are told apart by seconds.
    private func tick() -> Int64 {
        let now = time(nil)
        while time(nil) == now { usleep(20_000) }
        return Int64(now)
    }

    @Test("What was deleted or overwritten since is there, what came since is not, over many pages and at once", arguments: [1000, 3])
    func asItWas(_ pageKeys: Int) throws {
        let prefix = SeaweedServer.uniquePrefix()
        let server = try SeaweedServer.running()
        let store = try server.store(prefix, bucket: SeaweedServer.lockingBucket)
        let names = (0..<24).map { "folder\($0 % 5)/\(UInt8($0) &* 37)" }
        for (number, name) in names.enumerated() { try store.put(StoreKey(name), Array("first \(number)".utf8), .create) }
        try store.put(StoreKey("gone/before"), [1], .create)
        for _ in 0..<4 { try store.put(StoreKey("folder0/often"), [9], .replace) }
        try store.delete(StoreKey("gone/before"))
        let moment = tick()
        for name in names.prefix(12) { try store.delete(StoreKey(name)) }
        for name in names.suffix(12) { try store.put(StoreKey(name), Array("overwritten".utf8), .replace) }
        try store.delete(StoreKey("folder0/often"))
        try store.put(StoreKey("new/object"), [2], .create)

        var options = S3Store.Options()
        options.pageKeys = pageKeys
        options.pagesInTurn = 2
        let past = try server.past(prefix, moment, options: options)
        for attempt in ["asked one by one", "known from the listing"] {
            for (number, name) in names.enumerated() {
                #expect(try past.get(StoreKey(name), atMost: 100) == Array("first \(number)".utf8), "\(attempt)")
                #expect(try past.stat(StoreKey(name))?.size == UInt64("first \(number)".utf8.count))
                var buffer = [UInt8](repeating: 0, count: 4)
                #expect(try buffer.withUnsafeMutableBytes { try past.read(StoreKey(name), at: 1, into: $0) } == 4)
                #expect(buffer == Array("irst".utf8))
            }
            #expect(try past.list("").map(\.key.description).sorted() == (names + ["folder0/often"]).sorted(), "\(attempt)")
            #expect(try past.list("folder1/").map(\.key.description).sorted() == names.filter { $0.hasPrefix("folder1/") }.sorted())
            #expect(Set(try past.folders(in: "")).isSuperset(of: (0..<5).map { "folder\($0)" }))
            #expect(try past.stat(StoreKey("gone/before")) == nil && past.stat(StoreKey("new/object")) == nil)
            #expect(throws: RepoError.self) { try past.get(StoreKey("new/object"), atMost: 10) }
        }
        #expect(try server.past(prefix, moment - 3600).list("").isEmpty)
    }

    @Test("Every call that would write is refused, and nothing is sent")
    func readOnly() throws {
        let past = try SeaweedServer.running().past("nothing-here", 1_700_000_000)
        #expect(past.isReadOnly)
        for call in [
            { try past.put(StoreKey("a"), [1], .create) }, { try past.put(StoreKey("a"), [1], .replace) }, { try past.delete(StoreKey("a")) },
            { try past.delete([StoreKey("a")]) }, { try past.purge([StoreKey("a")]) }, { _ = try past.removeAbandonedPuts(olderThan: .seconds(0)) },
        ] as [() throws -> Void] {
            #expect { try call() } throws: { ($0 as? RepoError)?.code == .refused }
        }
        #expect((past as? S3PastStore)?.connection.requestCount == 0)
    }

    @Test(
        "The moment is a time in UTC",
        arguments: [("2026-11-20T03:00:00Z", true), ("2026-11-20T03:00:00.5Z", true), ("2026-11-20", false), ("2026-11-20T03:00:00", false), ("now", false)])
    func moments(_ text: String, _ isValid: Bool) {
        #expect(((try? S3Location(parsing: "//bucket/x?as-of=\(text)"))?.moment == 1_795_143_600) == isValid)
        #expect((try? S3Location(parsing: "//bucket/x?as-of=2026-11-20T03:00:00Z&lock=governance:1d")) == nil)
    }

    @Test("A page of versions needs all that a whole listing needs")
    func pages() throws {
        func page(_ body: String) throws -> S3VersionPage { try S3VersionPage(Array("<ListVersionsResult>\(body)</ListVersionsResult>".utf8)) }
        let version = "<Version><Key>a%2Fb</Key><VersionId>v</VersionId><Size>3</Size><LastModified>2026-11-20T03:00:00.000Z</LastModified></Version>"
        let whole = try page("<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>\(version)")
        #expect(whole.versions.map(\.key) == ["a/b"] && whole.versions[0].modified == 1_795_143_600 && whole.next == nil)
        let next = try page("<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>").next
        #expect(next == .init(key: "k", version: "v"))
        for broken in [
            version, "<IsTruncated>true</IsTruncated>", "<IsTruncated>false</IsTruncated><Version><Key>a</Key></Version>",
            "<IsTruncated>false</IsTruncated><DeleteMarker><Key>a</Key><VersionId>v</VersionId></DeleteMarker>",
        ] {
            #expect(throws: RepoError.self) { try page(broken) }
        }
        #expect(throws: RepoError.self) { try S3VersionPage(Array("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".utf8)) }
    }
}
