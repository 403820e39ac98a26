import BlobEngine
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository

@Suite struct ParityUpkeepTests {
    @Test func everySnapshotIsCoveredAndGroupsStayFew() throws {
        let repository = try ProtectedRepository()
        defer { repository.base.remove() }
        var files = ["a": testBytes(50_000, seed: 0)]
        for round in 1...10 {
            files["f\(round)"] = testBytes(20_000 + round * 3000, seed: UInt64(round))
            try repository.base.snapshot(files, second: Int64(round))
            let outcome = try repository.update()
            #expect(outcome.packsDamaged.isEmpty)
            #expect(try repository.groups <= 5)
        }
        try repository.expectProtected()
        #expect(try repository.base.check().errors == [])
        let again = try repository.update()
        #expect(again.groupsMade == 0 && again.groupsDeleted == 0, "nothing is left to do")
        #expect(try repository.base.keys(ParityObject.snapshotPrefix).count == 10)
    }

    @Test func aPruneLeavesWhatStaysProtectedAndNothingElse() throws {
        let repository = try ProtectedRepository.withGarbage()
        defer { repository.base.remove() }
        let before = Set(try repository.packs)
        let outcome = try repository.prune()
        #expect(outcome.packsDeleted > 0 && outcome.packsRewritten > 0)
        #expect(try #require(outcome.parity).groupsMade > 0)
        #expect(!before.isSubset(of: try repository.packs))
        try repository.expectProtected()
        let members = try ParityCatalog(try repository.open()).entries.flatMap { $0.group.members.map(\.id) }
        #expect(Set(members) == Set(try repository.packs), "no group names what is gone")
        #expect(try repository.base.keys(ParityObject.snapshotPrefix).count == 2)
        #expect(try repository.base.check().errors == [])
    }

    /// Killed at each change of the store, before and after it: any one pack may then be lost, and every snapshot still reads.
    @Test(arguments: [false, true]) func aPruneKilledAnywhereLeavesNothingUnprotected(afterWorking: Bool) throws {
        let original = try ProtectedRepository.withGarbage()
        defer { original.base.remove() }
        var change = 0
        while true {
            change += 1
            let copy = ProtectedRepository(try original.base.copy())
            defer { copy.base.remove() }
            let dying = FaultingStore(copy.store, plan: FaultingStore.dying(atChange: change, afterWorking: afterWorking))
            do {
                try copy.prune(on: dying)
                break
            } catch {
                #expect(dying.isDead, "\(error)")
            }
            let victims = try copy.packs
            let victim = victims[change % victims.count]
            let lossy = ProtectedRepository(try copy.base.copy())
            defer { lossy.base.remove() }
            try lossy.store.delete(PackObject.key(victim))
            _ = try ParityHealing(try lossy.open(), threads: 2).run([victim])
            let harm = try lossy.base.check(nil).errors.filter { !$0.snapshots.isEmpty }
            #expect(harm.isEmpty, "killed at change \(change), then without \(victim.short): \(harm)")

            try copy.pruneToTheEnd()
            try copy.expectProtected("killed at change \(change)")
        }
        #expect(change > 20, "a prune changes the store more often than \(change) times")
    }

    @Test(arguments: [false, true]) func anUpdateKilledAnywhereIsMadeGoodByTheNext(afterWorking: Bool) throws {
        let original = try ProtectedRepository()
        defer { original.base.remove() }
        try original.base.snapshot(["a": testBytes(90_000, seed: 1)])
        try original.update()
        try original.base.snapshot(["a": testBytes(90_000, seed: 1), "b": testBytes(200_000, seed: 2)], second: 2000)
        var change = 0
        while true {
            change += 1
            let copy = ProtectedRepository(try original.base.copy())
            defer { copy.base.remove() }
            let dying = FaultingStore(copy.store, plan: FaultingStore.dying(atChange: change, afterWorking: afterWorking))
            do {
                try copy.update(on: dying)
                break
            } catch {
                #expect(dying.isDead, "\(error)")
            }
            #expect(try copy.base.check(nil).errors.filter { $0.kind != .parity } == [])
            try copy.update()
            try copy.expectProtected("killed at change \(change)")
        }
        #expect(change > 6)
    }

    @Test func severalAtOnceEndWithOneGroupForEachPack() throws {
        let repository = try ProtectedRepository()
        defer { repository.base.remove() }
        for round in 1...3 { try repository.base.snapshot(["a": testBytes(50_000, seed: UInt64(round))], second: Int64(round)) }
        let failures = Monitor<[String]>([])
        let threads = (0..<4).map { _ in
            WorkerThread {
                do { try repository.update() } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == [])
        try repository.update()
        try repository.expectProtected()
        #expect(try repository.groups == 1)
    }

    @Test func aWritersParityCountsForItselfUntilAFullKeyTakesOver() throws {
        let owner = try ProtectedRepository()
        defer { owner.base.remove() }
        try owner.base.snapshot(["own": testBytes(50_000, seed: 1)])
        try owner.update()
        var keys = owner.base.keys
        let added = try keys.addKey(to: owner.store, .machine, role: .writer, label: "w")
        let writer = ProtectedRepository(
            try owner.base.opened(with: try KeyRing.open(owner.store, .machineKey(Array(try #require(added.keyFile).utf8)))))
        let full = ProtectedRepository(try owner.base.opened(with: keys))
        defer {
            writer.base.remove()
            full.base.remove()
        }
        let before = try owner.groups
        try writer.base.snapshot(["theirs": testBytes(80_000, seed: 2)], source: "theirs", second: 2000)
        #expect(try writer.update().groupsMade == 1)
        #expect(try writer.update().groupsMade == 0, "its own group counts for it")
        #expect(try ParityStatus(try full.open()).packsUncovered == 2, "and for nobody else")
        let outcome = try full.update()
        #expect(outcome.groupsMade == 1 && outcome.groupsDeleted >= 1)
        #expect(try full.groups <= before + 1)
        try full.expectProtected()
    }

    @Test func parityThatIsSwitchedOffGoesAndComesBack() throws {
        let repository = try ProtectedRepository.withGarbage()
        defer { repository.base.remove() }
        _ = try ParityUpkeep(try repository.open(), parity: .some(nil)).run()
        #expect(try repository.base.keys(ParityObject.prefix).isEmpty)
        #expect(try repository.base.check().errors == [])
        try repository.update()
        try repository.expectProtected()
    }

    @Test func aDamagedPackIsLeftOutNamedAndStillTheWayBack() throws {
        let repository = try ProtectedRepository()
        defer { repository.base.remove() }
        try repository.base.snapshot(["a": testBytes(90_000, seed: 1)])
        try repository.update()
        let victim = try #require(try repository.packs.first)
        var bytes = try repository.store.get(PackObject.key(victim), atMost: 1 << 30)
        bytes[100] ^= 1
        try repository.store.put(PackObject.key(victim), bytes, .replace)
        // Everything is to be coded anew, with another share.
        let outcome = try ParityUpkeep(try repository.open(), parity: 10_000, threads: 2).run()
        #expect(outcome.packsDamaged == [victim])
        #expect(try PackRepair(try repository.open()).run().healedPacks == [victim])
        #expect(try repository.base.check().errors == [])
        _ = try ParityUpkeep(try repository.open(), parity: 10_000, threads: 2).run()
        #expect(try repository.groups == 1)
        try repository.expectProtected()
    }
}
