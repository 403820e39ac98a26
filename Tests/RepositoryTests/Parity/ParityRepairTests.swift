import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

@Suite struct ParityRepairTests {
    private static func make(parity: UInt64 = 3000) throws -> ProtectedRepository {
        let repository = try ProtectedRepository(parity: parity)
        try repository.base.snapshot(["a": testBytes(120_000, seed: 1), "d/b": testBytes(60_000, seed: 2)])
        try repository.base.snapshot(["a": testBytes(120_000, seed: 1), "e": testBytes(50_000, seed: 3)], second: 2000)
        try repository.update()
        return repository
    }

    @Test func aCheckSaysWhatParityBringsBackAndARepairDoesIt() throws {
        let repository = try Self.make()
        defer { repository.base.remove() }
        let victim = try #require(try repository.packs.first)
        let key = PackObject.key(victim)
        let whole = try repository.store.get(key, atMost: 1 << 30)
        for data in [DataSubset?.none, .all] {
            try repository.store.delete(key)
            let report = try repository.base.check(data)
            #expect(report.errors.map(\.object) == ["\(key)"])
            #expect(report.parity?.healable == ["\(key)"] && report.parity?.beyond == [:])
            let result = try PackRepair(try repository.open()).run()
            #expect(result.healedPacks == [victim] && result.packs.isEmpty && result.lostBlobs == 0)
            #expect(try repository.store.get(key, atMost: 1 << 30) == whole)
            #expect(try repository.base.check().errors == [])
        }
    }

    @Test func damageBeyondParityIsSaidAndTheRestSalvaged() throws {
        let repository = try Self.make()
        defer { repository.base.remove() }
        let entry = try #require(try ParityCatalog(try repository.open()).entries.first)
        // One row fewer than there are packs that are damaged at their first block.
        let victims = entry.group.members.filter { $0.firstBlock == 0 }.prefix(entry.group.parityCount + 1)
        try #require(victims.count == entry.group.parityCount + 1)
        for victim in victims {
            var bytes = try repository.store.get(PackObject.key(victim.id), atMost: 1 << 30)
            bytes[20] ^= 1
            try repository.store.put(PackObject.key(victim.id), bytes, .replace)
        }
        let report = try repository.base.check()
        #expect(report.parity?.beyond.count == victims.count)
        let result = try PackRepair(try repository.open()).run()
        #expect(result.healedPacks.isEmpty && result.unhealed.count == victims.count)
        #expect(result.packs.count == victims.count && result.salvagedBlobs > 0)
    }

    @Test func damagedParityIsFoundNamedAndMadeAnew() throws {
        let repository = try Self.make()
        defer { repository.base.remove() }
        for key in try repository.base.keys(ParityObject.prefix) {
            let whole = try repository.store.get(key, atMost: 1 << 30)
            for injury in 0..<3 {
                switch injury {
                case 0:
                    var bytes = whole
                    bytes[bytes.count / 2] ^= 1
                    try repository.store.put(key, bytes, .replace)
                case 1: try repository.store.put(key, Array(whole.dropLast()), .replace)
                default: try repository.store.delete(key)
                }
                let report = try repository.base.check()
                let isCopyGone = injury == 2 && key.description.hasPrefix(ParityObject.snapshotPrefix)
                #expect(report.errors.map(\.object) == (isCopyGone ? [] : ["\(key)"]), "\(injury)")
                try repository.update(readsParity: true)
                #expect(try repository.base.check().errors == [], "\(key) \(injury)")
                guard try repository.store.stat(key) != nil else { return try repository.expectProtected() }
            }
        }
        try repository.expectProtected()
    }

    @Test func aDamagedSnapshotComesBackFromItsSecondCopy() throws {
        let repository = try Self.make()
        defer { repository.base.remove() }
        let key = try repository.base.keys(SnapshotObject.prefix)[0]
        let whole = try repository.store.get(key, atMost: 1 << 30)
        var bytes = whole
        bytes[60] ^= 1
        try repository.store.put(key, bytes, .replace)
        let report = try repository.base.check(nil)
        #expect(report.errors.map(\.kind) == [.snapshot] && report.parity?.healable == ["\(key)"])
        let healed = try SnapshotRepair(try repository.open()).setAsideUnreadable()
        #expect(healed.map(\.isHealed) == [true])
        #expect(try repository.store.get(key, atMost: 1 << 30) == whole)
        #expect(try repository.base.check().errors == [])
    }

    /// Without their directories such packs are in no index that is made anew, so nobody would miss them.
    @Test func anIndexThatIsMadeAnewNamesWhatParityBroughtBack() throws {
        let repository = try Self.make(parity: 10_000)
        defer { repository.base.remove() }
        let packs = try repository.packs
        try repository.store.delete(PackObject.key(packs[0]))
        var bytes = try repository.store.get(PackObject.key(packs[1]), atMost: 1 << 30)
        bytes[bytes.count - 200] ^= 1
        try repository.store.put(PackObject.key(packs[1]), bytes, .replace)
        for key in try repository.base.keys(IndexLoader.prefix) { try repository.store.delete(key) }
        let result = try IndexRepair(try repository.open()).run()
        #expect(Set(result.healedPacks) == Set(packs.prefix(2)))
        #expect(result.damagedPacks.isEmpty && result.packs == packs.count)
        #expect(try repository.base.check().errors == [])
    }
}
