import Foundation
import PostgresFormats
import RepoBase
import Storage
import Testing

@testable import Repository
@testable import WALArchive

/// A store that hides the end of the log from machines that saw it (docs/adr/0038-freshness.md).
@Suite("Freshness of the log") struct LogFreshnessTests {
    private let fixture: ArchiveFixture
    private let system = ArchiveFixture.system
    private let size = WALSegmentSize(bytes: 1 << 20)!

    init() throws { fixture = try ArchiveFixture() }

    /// A machine, by the folder of what it has seen.
    private func archive(_ machine: String) throws -> WALArchive {
        let watch = FreshnessWatch(
            folder: "\(fixture.folder)/\(machine)", repository: fixture.keys.repositoryID, location: "here", clock: { 1_800_000_000 })
        return WALArchive(try OpenRepository(store: fixture.store, keys: fixture.keys, cacheDirectory: fixture.folder + "/cache", freshness: watch))
    }

    private func push(_ numbers: ClosedRange<UInt64>, timeline: UInt32 = 1, by machine: String) throws {
        for number in numbers {
            try archive(machine).store(
                [ArchiveFixture.file(ArchiveFixture.segment(number, timeline: timeline, size: size), seed: number, count: 100)], system: system, segmentSize: size)
        }
    }

    private func key(_ number: UInt64, timeline: UInt32 = 1) -> StoreKey {
        WALObjectName.file(.segment(name: ArchiveFixture.segment(number, timeline: timeline, size: size))).key(systemIdentifier: system)
    }

    private func findings(_ machine: String) throws -> [String] {
        let archive = try archive(machine)
        _ = try archive.inventory(of: system)
        return archive.repository.freshness!.findings.map(\.object)
    }

    @Test("Machines that pushed or listed later segments notice; others do not")
    func hiddenEnd() throws {
        try push(1...9, by: "server")
        #expect(try findings("watcher").isEmpty)
        for number: UInt64 in 7...9 { try fixture.store.delete(key(number)) }
        for machine in ["server", "watcher"] { #expect(try findings(machine) == ["\(key(9))"]) }
        #expect(try findings("stranger").isEmpty)
        let report = try LogCheck(archive("watcher")).run()
        #expect(report.errors.map(\.object) == ["\(key(9))"] && report.errors.map(\.kind) == [.log])
        // What comes later makes the end good; what is missing between is a gap, as ever.
        try push(10...10, by: "server")
        #expect(try findings("server").isEmpty)
    }

    @Test("A server is not told that a hidden segment is absent, which would end its recovery")
    func get() throws {
        try push(1...9, by: "server")
        for number: UInt64 in 5...9 { try fixture.store.delete(key(number)) }
        var options = WALGet.Options()
        options.systemIdentifier = system
        func get(_ number: UInt64, by machine: String) throws -> WALGet.Outcome {
            try WALGet(archive(machine), options: options).get(ArchiveFixture.segment(number, size: size), to: fixture.folder + "/out")
        }
        #expect(try get(4, by: "server") == .delivered)
        for number: UInt64 in [5, 9] { #expect(throws: RepoError.self) { try get(number, by: "server") } }
        #expect(try get(10, by: "server") == .absent(isGap: false))
        #expect(try get(5, by: "stranger") == .absent(isGap: false))
    }

    @Test("A timeline of which nothing is needed any more goes without an alarm; one that is hidden does not")
    func timelines() throws {
        try push(1...5, by: "server")
        try push(5...20, timeline: 2, by: "server")
        #expect(try findings("watcher").isEmpty)
        try fixture.backup(timeline: 2, from: 12 << 20, to: 13 << 20, at: 1000)
        let other = try archive("other")
        let plan = try LogRetention(other).plan(other.inventory(of: system), backups: other.baseBackups()[system] ?? [], window: nil)
        try LogRetention(other).apply(plan)
        for machine in ["server", "watcher", "other"] { #expect(try findings(machine).isEmpty, "\(machine)") }
        for number: UInt64 in 12...20 { try fixture.store.delete(key(number, timeline: 2)) }
        #expect(try findings("watcher") == ["\(key(20, timeline: 2))"])
        #expect(try LogCheck(archive("watcher")).run().errors.map(\.object).contains("\(key(20, timeline: 2))"))
    }
}
