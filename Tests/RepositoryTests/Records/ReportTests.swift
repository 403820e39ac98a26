import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

/// Reports of restore tests (format.md, 7.3).
@Suite struct ReportTests {
    private let store: any Store
    private let keyRing: KeyRing
    private let repository: OpenRepository

    init() throws {
        (store, keyRing) = try KeyFixtures.create()
        repository = try OpenRepository(store: store, keys: keyRing, cacheDirectory: "/nonexistent")
    }

    static func report(_ seconds: Int64, outcome: Int32 = 0) -> Report {
        Report(
            time: FileTime(seconds: seconds, nanoseconds: 5), source: "main-db", outcome: outcome, text: "{\"outcome\":\"passed\"}",
            stamp: JournalStamp(time: 0, host: "db1", user: "postgres"))
    }

    @Test func `the fields of version 1 are what they were`() {
        #expect(
            Hexadecimal.encode(Self.report(1_700_000_000, outcome: 13).encoded())
                == "010680c49fd50c0502076d61696e2d646203010d04147b226f7574636f6d65223a22706173736564227d10036462311108706f737467726573")
    }

    @Test func `reports open to what they were, oldest first, and by the beginning of an id`() throws {
        let reports = Reports(repository)
        let late = try reports.add(Self.report(20, outcome: 1))
        let early = try reports.add(Self.report(10))
        let all = try reports.all()
        #expect(all.map(\.id) == [early, late] && all.map(\.report) == [Self.report(10), Self.report(20, outcome: 1)])
        #expect(try reports.find("\(early)".prefix(10).description).id == early)
        #expect(try reports.find("latest").id == late)
        #expect(code { _ = try reports.find("abc") } == .usage)
        #expect(code { _ = try reports.find("\(late)x") } == .usage)
        #expect(code { _ = try reports.find("0123456789") } == .notFound)
        // Nothing of it can be seen.
        let bytes = try store.get(StoreKey("reports/\(late)"), atMost: 1 << 20)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("main-db"))
    }

    @Test func `every changed byte and every cut is damage, and hides no other report`() throws {
        let reports = Reports(repository)
        let id = try reports.add(Self.report(10))
        let other = try reports.add(Self.report(20))
        let key = StoreKey("reports/\(id)")
        let bytes = try store.get(key, atMost: 1 << 20)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x10
            for damaged in [changed, Array(bytes[..<index])] {
                try store.put(key, damaged, .replace)
                var named: [ObjectID] = []
                let rest = try reports.all { id, error in
                    #expect(error.code == .damaged)
                    named.append(id)
                }
                #expect(named == [id] && rest.map(\.id) == [other], "\(index)")
            }
        }
    }

    @Test func `a writer key keeps a report and cannot read it`() throws {
        var keys = keyRing
        let added = try keys.addMachineKey(to: store, role: .writer)
        let writer = Reports(
            try OpenRepository(store: store, keys: try KeyRing.open(store, added.credentials), cacheDirectory: "/nonexistent"))
        let id = try writer.add(Self.report(10))
        #expect(code { _ = try writer.read(id) } == .wrongKey)
        #expect(try Reports(repository).read(id).report == Self.report(10))
    }
}
