import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// The same blob in two packs, each of which a collector may condemn because of the other.
@Suite struct DuplicateBlobTests {
    /// Two writers that store the same chunk, neither having seen the other's.
    private func makeDuplicates() throws -> (CollectionWorld, [ObjectID]) {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 50)
        let content = numbers.bytes(3_000)
        let writers = try ["one", "two"].map { try world.startSnapshot(["a": content], source: $0) }
        for writer in writers { writer.advance(6) }
        for writer in writers { world.expected[try #require(try writer.finish())] = ["a": content] }
        let secret = world.keys.idSecret.bytes
        let id = content.withUnsafeBytes { BlobHasher(idSecret: secret).id(.chunk, $0) }
        let packs = try world.open().index().locations(of: id).map(\.pack.id)
        return (world, packs)
    }

    @Test func oneCopyIsKept() throws {
        let (world, packs) = try makeDuplicates()
        #expect(packs.count == 2)
        try world.prune()
        try world.verify()
        #expect(try packs.count { try world.store.stat(PackObject.key($0)) != nil } == 1)
        try world.verifyClean()
    }

    /// Another collector condemned one of the copies, and ended, while this one was at work: it may be the one that is kept here.
    @Test(arguments: [0, 1])
    func collectorsNeverTakeBothCopies(copy: Int) throws {
        for calls in 1..<200 {
            let (world, packs) = try makeDuplicates()
            let pack = packs.sorted()[copy]
            let collector = try world.startPrune()
            collector.advance(calls)
            if collector.result != nil { return }
            let repository = try world.open()
            // What is gone by now, nobody else would condemn.
            guard try world.store.stat(PackObject.key(pack)) != nil, try repository.index().condemned.isEmpty
            else {
                _ = try collector.finish()
                continue
            }
            let others = try WriterCensus(repository, own: nil, fenceAfter: .max).others
            let number = try GarbageRecord.condemn([pack], repository)
            try GarbageRecord.add(.writers, number, others, repository)
            _ = try collector.finish()
            try world.verify("after \(calls) calls")
            try world.pruneToTheEnd()
            try world.verify("after \(calls) calls, in the end")
        }
        Issue.record("the prune did not end")
    }
}
