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
        options.partBytes = 5 << 20
        options.pageKeys = 100
        options.pagesInTurn = 2
        try check.run(on: SeaweedServer.running().store(options: options))
    }

    @Test("in parts, the same name at once from several writers has one winner")
    func partsRace() throws {
        var options = S3Store.Options()
        options.largestSinglePut = 1 << 20
        options.partBytes = 5 << 20
        let store = try SeaweedServer.running().store(options: options)
        let key = StoreKey("packs/00/one")
        let winners = Monitor<[UInt8]>([])
        let threads = (UInt8(0)..<4).map { writer in
            WorkerThread {
                do {
                    try store.put(key, [UInt8](repeating: writer, count: 6 << 20), .create)
                    winners.withLock { $0.append(writer) }
                } catch {
                    #expect((error as? RepoError)?.code == .conflict, "\(error)")
                }
            }
        }
        for thread in threads { thread.join() }
        let won = winners.withLock { $0 }
        #expect(won.count == 1)
        #expect(try store.get(key, atMost: 6 << 20) == [UInt8](repeating: won.first ?? 9, count: 6 << 20))
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(-60)) == 0, "the losers' parts are gone")
    }
}
