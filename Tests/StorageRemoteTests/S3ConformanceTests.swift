import RepoBase
import Storage
import StorageRemote
import StorageTesting
import Testing

@Suite("Contract of a store, in S3")
struct S3ConformanceTests {
    @Test("on SeaweedFS", arguments: StoreConformance.checks)
    func seaweed(_ check: StoreConformance) throws {
        try check.run(on: SeaweedServer.running().store())
    }

    /// Few objects need many pages then, and large ones parts.
    @Test(
        "on SeaweedFS, in parts, over many pages, several at once",
        arguments: StoreConformance.checks.filter { check in
            !["one wins", "finds the winner", "replaced object"].contains { check.description.contains($0) }
        })
    func parts(_ check: StoreConformance) throws {
        var options = S3Store.Options()
        options.largestSinglePut = 8 << 20
        options.largestRacedPut = 8 << 20
        options.partBytes = 5 << 20
        options.pageKeys = 100
        options.pagesInTurn = 2
        try check.run(on: SeaweedServer.running().store(options: options))
    }

    @Test("The same name at once from several writers has one winner, however large they are", arguments: 0..<8)
    func largeRace(_ round: Int) throws {
        let store = try partsAboveOne()
        let key = StoreKey("wal/1/00000001/\(round)")
        let winners = try race(store, key) { [UInt8](repeating: $0, count: 6 << 20) }
        #expect(winners.count == 1)
        #expect(try store.get(key, atMost: 6 << 20) == [UInt8](repeating: winners.first ?? 9, count: 6 << 20))
    }

    /// Several may win in SeaweedFS, which nobody can tell: they put the same bytes.
    @Test("A name that tells the content, at once from several writers in parts, is there once and whole")
    func partsRace() throws {
        let store = try partsAboveOne()
        let bytes = [UInt8](repeating: 5, count: 6 << 20)
        let key = StoreKey("packs/00/\(String(repeating: "0a", count: 32))")
        #expect(try !race(store, key) { _ in bytes }.isEmpty)
        #expect(try store.get(key, atMost: 6 << 20) == bytes)
        #expect(throws: RepoError.self, "it is there") { try store.put(key, bytes, .create) }
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(-60)) == 0, "the losers' parts are gone")
    }

    private func partsAboveOne() throws -> S3Store {
        var options = S3Store.Options()
        options.largestSinglePut = 1 << 20
        options.partBytes = 5 << 20
        return try SeaweedServer.running().store(options: options)
    }

    /// Who of four was told that theirs is stored.
    private func race(_ store: S3Store, _ key: StoreKey, _ bytes: @escaping @Sendable (UInt8) -> [UInt8]) throws -> [UInt8] {
        let winners = Monitor<[UInt8]>([])
        let threads = (UInt8(0)..<4).map { writer in
            WorkerThread {
                do {
                    try store.put(key, bytes(writer), .create)
                    winners.withLock { $0.append(writer) }
                } catch {
                    #expect((error as? RepoError)?.code == .conflict, "\(error)")
                }
            }
        }
        for thread in threads { thread.join() }
        return winners.withLock { $0 }
    }
}
