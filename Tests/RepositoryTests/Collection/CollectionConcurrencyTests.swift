import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// Writers and collectors at once, interleaved at single calls on the store.
@Suite struct CollectionConcurrencyTests {
    /// A forgotten snapshot whose content a writer is about to store again: what it finds in the index is what the collector condemns.
    private func makeGarbage(_ seed: UInt64) throws -> (CollectionWorld, CollectionWorld.Files) {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: seed)
        var files: CollectionWorld.Files = ["a": numbers.bytes(30_000), "b": numbers.bytes(9_000)]
        let first = try world.snapshot(files)
        files["a"]![20_000] ^= 1
        let second = try world.snapshot(files)
        try world.snapshot(["b": files["b"]!], source: "other")
        try world.forget(first)
        try world.forget(second)
        return (world, files)
    }

    @Test func aWriterAtWorkIsWaitedFor() throws {
        let (world, files) = try makeGarbage(41)
        let writer = try world.startSnapshot(files)
        writer.advance(6)
        let waiting = try world.prune()
        #expect(waiting.packsCondemned > 0)
        #expect(waiting.packsDeleted == 0)
        #expect(waiting.packsWaiting == waiting.packsCondemned)
        #expect(waiting.waitingFor.map(\.processID) == [ProcessIdentity.own.processID])
        world.expected[try #require(try writer.finish())] = files
        try world.verify()
        let after = try world.prune()
        #expect(after.packsDeleted >= waiting.packsCondemned)
        #expect(after.waitingFor.isEmpty)
        try world.verify()
        try world.pruneToTheEnd()
        try world.verify()
        try world.verifyClean()
    }

    /// The writer has made `before` calls when the prune begins, and the prune `during` when the writer goes on to its end.
    @Test(arguments: [0, 1, 2, 3, 5, 9, 15, 25])
    func whatAWriterRestsOnStays(before: Int) throws {
        for during in stride(from: 1, to: 200, by: 6) {
            let (world, files) = try makeGarbage(42)
            let writer = try world.startSnapshot(files)
            writer.advance(before)
            let collector = try world.startPrune()
            collector.advance(during)
            let isOver = collector.result != nil
            world.expected[try #require(try writer.finish())] = files
            _ = try collector.finish()
            try world.verify("\(before), \(during)")
            try world.pruneToTheEnd()
            try world.verify("\(before), \(during), in the end")
            try world.verifyClean("\(before), \(during)")
            if isOver { return }
        }
        Issue.record("the prune did not end")
    }

    /// The packs of a killed snapshot, which a writer takes up while a collector condemns them as packs that no index segment names.
    @Test(arguments: [0, 3, 5, 6, 7, 8, 9, 10, 12, 15, 20])
    func whatAWriterTakesUpStays(before: Int) throws {
        var takenUp = 0
        for during in stride(from: 1, to: 200, by: 6) {
            let world = try CollectionWorld()
            var numbers = SeededNumbers(seed: 45)
            let files: CollectionWorld.Files = ["a": numbers.bytes(30_000), "b": numbers.bytes(9_000)]
            try world.forget(try world.snapshot(files))
            for object in try world.store.list(IndexLoader.prefix) { try world.store.delete(object.key) }
            try world.leaveDeadWriter()
            let writer = try world.startSnapshot(files)
            writer.advance(before)
            let collector = try world.startPrune()
            collector.advance(during)
            let isOver = collector.result != nil
            let id = try #require(try writer.finish())
            world.expected[id] = files
            if try SnapshotCatalog(world.open()).read(id).snapshot.statistics.bytesAdded < 30_000 { takenUp += 1 }
            _ = try collector.finish()
            try world.verify("\(before), \(during)")
            try world.pruneToTheEnd()
            try world.verify("\(before), \(during), in the end")
            try world.verifyClean("\(before), \(during)")
            if isOver {
                #expect(before < 8 || takenUp > 0, "a writer that came first took nothing up")
                return
            }
        }
        Issue.record("the prune did not end")
    }

    /// The collector takes a living writer for dead after each number of its calls; what it publishes then is whole, or withdrawn.
    @Test func aFencedWriterPublishesNothingThatIsNotWhole() throws {
        var options = CollectionWorld.eager
        options.fenceAfter = 0
        var published = 0
        var withdrawn = 0
        for calls in 1..<100 {
            let (world, files) = try makeGarbage(43)
            let writer = try world.startSnapshot(files)
            writer.advance(calls)
            let isOver = writer.result != nil
            // Fences, and removes fence and registration as if long after.
            try world.prune(options)
            try world.prune(options)
            do {
                world.expected[try #require(try writer.finish())] = files
                published += 1
            } catch let error as RepoError {
                #expect(error.code == .failed || error.code == .damaged, "\(calls): \(error)")
                withdrawn += 1
            }
            try world.verify("after \(calls) calls")
            try world.pruneToTheEnd()
            try world.verify("after \(calls) calls, in the end")
            if isOver { break }
        }
        #expect(published > 0)
        #expect(withdrawn > 10)
    }

    /// The same with the fence while the prune is under way, and left there.
    @Test func aFencedWriterLooksForItsFence() throws {
        var options = CollectionWorld.eager
        options.fenceAfter = 0
        for calls in stride(from: 2, to: 60, by: 8) {
            for during in stride(from: 5, to: 160, by: 20) {
                let (world, files) = try makeGarbage(44)
                let writer = try world.startSnapshot(files)
                writer.advance(calls)
                let collector = try world.startPrune(options)
                collector.advance(during)
                do {
                    world.expected[try #require(try writer.finish())] = files
                } catch let error as RepoError {
                    #expect(error.code == .failed || error.code == .damaged, "\(calls), \(during): \(error)")
                }
                _ = try? collector.finish()
                try world.verify("\(calls), \(during)")
            }
        }
    }

    /// Any history of snapshots, forgets and prunes, several at once. With odd seeds every writer takes up what others have not indexed yet.
    @Test(arguments: UInt64(0)..<16)
    func everyRemainingSnapshotIsRestorable(seed: UInt64) throws {
        let world = try CollectionWorld()
        if seed % 2 == 1 { try world.leaveDeadWriter() }
        var numbers = SeededNumbers(seed: seed)
        var files: [String: CollectionWorld.Files] = [:]
        var working: [(process: SteppedProcess, files: CollectionWorld.Files?)] = []
        func end(_ index: Int) throws {
            let ended = working.remove(at: index)
            do {
                guard let id = try ended.process.finish() else { return }
                world.expected[id] = ended.files
            } catch let error as RepoError where ended.files == nil {
                // Two collectors may get into each other's way; the next one goes on.
                #expect(error.code == .damaged || error.code == .notFound, "\(error)")
            }
            try world.verify("seed \(seed)", exactly: false)
        }
        for _ in 0..<150 {
            switch Int.random(in: 0..<12, using: &numbers) {
            case 0, 1:
                guard working.count < 4 else { continue }
                let source = ["one", "two"].randomElement(using: &numbers)!
                let next = numbers.changed(files[source, default: ["a": numbers.bytes(30_000)]])
                files[source] = next
                working.append((try world.startSnapshot(next, source: source), next))
            case 2:
                guard working.count < 4 else { continue }
                var options = CollectionWorld.eager
                options.maximumUnused = [0, 0.3, 1].randomElement(using: &numbers)!
                working.append((try world.startPrune(options), nil))
            case 3:
                guard world.expected.count > 1 else { continue }
                try world.forget(world.expected.keys.sorted().randomElement(using: &numbers)!)
            default:
                guard !working.isEmpty else { continue }
                let index = Int.random(in: 0..<working.count, using: &numbers)
                working[index].process.advance(Int.random(in: 1...25, using: &numbers))
                if working[index].process.result != nil { try end(index) }
            }
        }
        while !working.isEmpty { try end(0) }
        try world.verify("seed \(seed)")
        try world.pruneToTheEnd()
        try world.verify("seed \(seed), in the end")
        try world.verifyClean("seed \(seed)")
    }
}
