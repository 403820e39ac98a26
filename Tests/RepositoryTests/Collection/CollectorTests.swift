import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import StorageTesting
import Testing

@testable import Repository

@Suite struct CollectorTests {
    @Test func freesWhatForgottenSnapshotsAloneHeld() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 1)
        let gone = try world.snapshot(["a": numbers.bytes(100_000)])
        try world.snapshot(["b": numbers.bytes(50_000)])
        try world.forget(gone)
        let before = try world.storedBytes
        let outcome = try world.prune()
        #expect(try world.storedBytes < before - 90_000)
        #expect(outcome.bytesFreed >= 100_000)
        #expect(outcome.packsDeleted == outcome.packsCondemned)
        #expect(outcome.waitingFor.isEmpty)
        try world.verify()
        try world.verifyClean()
    }

    @Test func keepsTheBasesThatDeltasNeed() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 2)
        var content = numbers.bytes(60_000)
        var last = try world.snapshot(["a": content])
        for round in 0..<6 {
            content[round * 9_000] ^= 1
            let next = try world.snapshot(["a": content])
            try world.forget(last)
            last = next
            try world.prune()
            try world.verify("round \(round)")
        }
        let deltas = try world.open().index().tables.contains { table in
            (0..<table.count).contains { table.record(at: $0)?.encoding == .delta }
        }
        #expect(deltas)
    }

    @Test func leavesWhatIsWithinTheToleratedShare() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 3)
        let keep = numbers.bytes(200_000)
        let gone = try world.snapshot(["a": keep, "b": numbers.bytes(20_000)])
        try world.snapshot(["a": keep])
        try world.forget(gone)
        var options = CollectionWorld.eager
        options.maximumUnused = 0.2
        let outcome = try world.prune(options)
        #expect(outcome.bytesRewritten == 0)
        #expect(outcome.bytesUnused >= 20_000)
        #expect(try world.prune().bytesRewritten > 0)
        try world.verify()
    }

    /// Garbage within the tolerated share may be a delta whose base went with another pack: nobody may count on it.
    @Test func garbageWithoutItsBaseIsNotRestedOn() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 10)
        var content = numbers.bytes(3_000)
        let large = numbers.bytes(60_000)
        let base = try world.snapshot(["a": content])
        content[1_000] ^= 1
        let delta = try world.snapshot(["a": content, "k": large])
        try world.snapshot(["k": large], source: "other")
        try world.forget(base)
        try world.forget(delta)
        var options = CollectionWorld.eager
        options.maximumUnused = 0.5
        #expect(try world.prune(options).packsDeleted > 0)
        let chunk = world.keys.idSecret
        let id = content.withUnsafeBytes { BlobHasher(idSecret: chunk.bytes).id(.chunk, $0) }
        let index = try world.open().index()
        #expect(index.contains(id))
        #expect(!index.containsForDeduplication(id))
        try world.snapshot(["a": content])
        try world.verify()
        try world.pruneToTheEnd()
        try world.verify()
    }

    @Test func whatIsCondemnedDoesNotConfirmARoot() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 11)
        let id = try world.snapshot(["a": numbers.bytes(3_000)])
        let repository = try world.open()
        let root = try SnapshotCatalog(repository).read(id).snapshot.root
        #expect(Reachability.isConfirmed(root, repository))
        // Trees stay readable; the chunk is in a pack of its own.
        let packs = Set(try repository.index().tables.flatMap { $0.packs.map(\.id) })
        let trees = Set(try repository.index().locations(of: root).map(\.pack.id))
        _ = try GarbageRecord.condemn(Array(packs.subtracting(trees)), repository)
        #expect(!Reachability.isConfirmed(root, repository))
    }

    @Test func putsSmallPacksAndSegmentsTogether() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 4)
        for number in 0..<24 { try world.snapshot(["\(number)": numbers.bytes(5_000)], source: "\(number)") }
        #expect(try world.store.list("index/").count == 24)
        let outcome = try world.prune()
        #expect(outcome.segmentsMerged >= 24)
        #expect(try world.store.list("index/").count <= 2)
        #expect(try world.store.list("packs/").count == 2)
        try world.verify()
        try world.verifyClean()
    }

    @Test func aDryRunTouchesNothing() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 5)
        try world.forget(try world.snapshot(["a": numbers.bytes(100_000)]))
        let counting = StorageTesting.CountingStore(world.store)
        var options = CollectionWorld.eager
        options.isDryRun = true
        let outcome = try world.prune(options, on: counting)
        #expect(counting.counts[.put] == 0)
        #expect(counting.counts[.delete] == 0)
        #expect(outcome.condemned.count == 2)
        #expect(outcome.packsCondemned == 2)
        #expect(outcome.condemned.allSatisfy { $0.reason == "nothing in it is needed" })
        #expect(outcome.bytesFreed >= 100_000)
    }

    @Test func recordsWhatItDeletesAndWhy() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 6)
        try world.forget(try world.snapshot(["a": numbers.bytes(10_000)]))
        let packs = try world.store.list("packs/").map { "\($0.key)" }
        try world.prune()
        let entries = try world.store.list("journal/").map { object in
            try SealedRecord.decode(
                .journal, try world.store.get(object.key, atMost: 1 << 20), object: "\(object.key)",
                keyRing: world.keys
            ).fields
        }
        for action in ["prune: condemn", "prune: delete"] {
            let entry = try #require(entries.first { $0.action == action })
            #expect(Set(entry.subjectTexts) == Set(packs))
            #expect(!entry.details.isEmpty)
        }
    }

    @Test func condemnsPacksThatNoSegmentNames() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 7)
        try world.snapshot(["a": numbers.bytes(10_000)])
        // A snapshot that dies before its first index segment.
        let dying = FaultingStore(world.store) {
            $0.name.hasPrefix("index/") && $0.kind == .put ? .dieBefore : nil
        }
        #expect(throws: (any Error).self) { try world.snapshot(["b": numbers.bytes(10_000)], on: dying) }
        #expect(try world.store.list("packs/").count == 4)
        var patient = CollectionOptions()
        patient.fenceAfter = 0
        #expect(try world.prune(patient).packsCondemned == 0)
        try world.pruneToTheEnd()
        #expect(try world.store.list("packs/").count == 2)
        try world.verify()
        try world.verifyClean()
    }

    @Test func refusesWhenSomethingNeededIsMissing() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 8)
        try world.snapshot(["a": numbers.bytes(10_000)])
        let gone = try world.snapshot(["b": numbers.bytes(10_000)], source: "other")
        try world.forget(gone)
        for object in try world.store.list("index/").prefix(2) { try world.store.delete(object.key) }
        let before = try world.store.list("packs/").count
        let error = #expect(throws: RepoError.self) { try world.prune() }
        #expect(error?.code == .damaged)
        #expect(try world.store.list("packs/").count == before)
        #expect(try world.store.list("writers/").isEmpty)
    }

    /// Dying after a change is dying before the next one; what only reads leaves the store as it was.
    @Test func survivesACrashBeforeEveryChange() throws {
        var change = 0
        while true {
            change += 1
            let world = try CollectionWorld()
            var numbers = SeededNumbers(seed: 9)
            var files = numbers.changed(["a": numbers.bytes(30_000), "b": numbers.bytes(30_000)])
            var ids: [ObjectID] = []
            for _ in 0..<4 {
                ids.append(try world.snapshot(files))
                files = numbers.changed(files)
            }
            try world.forget(ids[0])
            try world.forget(ids[2])
            let dying = FaultingStore(
                world.store, plan: FaultingStore.dying(atChange: change, afterWorking: false))
            do {
                try world.prune(on: dying)
            } catch {
                #expect(dying.isDead, "\(error)")
            }
            try world.verify("crash at change \(change)")
            try world.pruneToTheEnd()
            try world.verify("prune after a crash at change \(change)")
            try world.verifyClean("prune after a crash at change \(change)")
            if !dying.isDead { break }
        }
        #expect(change > 15)
    }
}
