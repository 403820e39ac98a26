import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

@Suite struct RepairTests {
    private struct Row: Hashable {
        let pack: ObjectID
        let record: BlobRecord
    }

    private func rows(_ repository: CheckedRepository) throws -> Set<Row> {
        let view = try repository.open().index()
        return Set(
            view.tables.flatMap { table in
                (0..<table.count).map {
                    Row(pack: table.packs[table.pack(at: $0)!].id, record: table.record(at: $0)!)
                }
            })
    }

    private func journal(_ repository: CheckedRepository) throws -> [String] {
        try repository.keys(Journal.prefix).compactMap { key in
            try SealedRecord.decode(
                .journal, try repository.store.get(key, atMost: 1 << 20), object: "\(key)",
                keyRing: repository.keys
            ).fields.action
        }
    }

    @Test func theRebuiltIndexEqualsTheOriginal() throws {
        let (original, files) = try RepositoryCheckTests.make()
        defer { original.remove() }
        let before = try rows(original)
        let segments = try original.keys(IndexLoader.prefix)
        for injury in 0..<3 {
            let copy = try original.copy()
            defer { copy.remove() }
            switch injury {
            case 0: for key in segments { try copy.store.delete(key) }
            case 1: for key in segments { try copy.store.put(key, Array("repoindx".utf8), .replace) }
            default: break
            }
            let result = try IndexRepair(try copy.open()).run()
            #expect(result.damagedPacks == [])
            #expect(try rows(copy) == before)
            let left = Set(try copy.keys(IndexLoader.prefix))
            #expect(left.isDisjoint(with: segments) && left.count == result.segmentsStored)
            #expect(try copy.check().errors == [])
            #expect(try journal(copy).contains("repair index"))
            for (id, content) in files { #expect(try copy.read(id).mapValues { try $0.get() } == content) }
            #expect(try copy.keys(WriterRegistration.prefix) == [])
        }
    }

    @Test func aPackWhoseDirectoryIsDamagedIsNamedAndLeftOut() throws {
        let (original, _) = try RepositoryCheckTests.make()
        defer { original.remove() }
        let key = try #require(try original.keys(PackObject.prefix).first)
        var bytes = try original.store.get(key, atMost: 1 << 30)
        bytes[bytes.count - 200] ^= 1
        try original.store.put(key, bytes, .replace)
        let result = try IndexRepair(try original.open()).run()
        #expect(result.damagedPacks.map(\.object) == ["\(key)"])
        #expect(try !rows(original).contains { PackObject.key($0.pack) == key })
    }

    @Test func whatReadsOfADamagedPackIsSalvaged() throws {
        let (original, files) = try RepositoryCheckTests.make()
        defer { original.remove() }
        for key in try original.keys(PackObject.prefix) {
            let size = try #require(try original.store.stat(key)).size
            for place in [9, Int(size) / 2, Int(size) - 100] {
                let copy = try original.copy()
                defer { copy.remove() }
                var bytes = try original.store.get(key, atMost: 1 << 30)
                bytes[place] ^= 1
                try copy.store.put(key, bytes, .replace)
                let lostBefore = try copy.read(files.keys.first!).values.filter { (try? $0.get()) == nil }
                    .count
                let result = try PackRepair(try copy.open()).run()
                #expect(result.packs == [PackObject.id(key)])
                #expect(result.salvagedBlobs > 0)
                #expect(try copy.store.stat(key) == nil)
                #expect(
                    try copy.store.get(StoreKey("damaged/\(PackObject.id(key)!)"), atMost: 1 << 30) == bytes)
                let after = try copy.check()
                #expect(!after.errors.contains { $0.kind == .pack }, "\(after.errors)")
                if result.lostBlobs == 0 { #expect(after.errors == []) }
                #expect(
                    try copy.read(files.keys.first!).values.filter { (try? $0.get()) == nil }.count
                        == lostBefore)
                #expect(try journal(copy).contains("repair packs"))
            }
        }
    }

    @Test func aSnapshotIsRepairedWithoutWhatIsLost() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        let good = ["keep": testBytes(60_000, seed: 1), "d/keep": testBytes(10_000, seed: 2)]
        try repository.snapshot(good)
        let before = Set(try repository.keys(PackObject.prefix))
        var files = good
        files["d/lost"] = testBytes(70_000, seed: 3)
        let damaged = try repository.snapshot(files, second: 2000)
        // The second snapshot's chunks are the lost file's.
        let view = try repository.open().index()
        for table in view.tables {
            for position in 0..<table.count where table.record(at: position)!.type == .chunk {
                let key = PackObject.key(table.packs[table.pack(at: position)!].id)
                if !before.contains(key) { try repository.store.delete(key) }
            }
        }
        #expect(try repository.check(nil).errors.first?.snapshots == [damaged])
        _ = try PackRepair(try repository.open()).run()

        let repaired = try SnapshotRepair(try repository.open()).run()
        #expect(repaired.map(\.old) == [damaged])
        let new = try #require(repaired.first?.new)
        #expect(repaired[0].problems.map(\.path) == [Array("/d/lost".utf8)])
        let snapshot = try SnapshotCatalog(try repository.open()).read(new).snapshot
        #expect(snapshot.repairs == damaged)
        #expect(snapshot.tags == [SnapshotRepair.tag])
        #expect(try repository.read(new).mapValues { try $0.get() } == good)
        #expect(try repository.store.stat(SnapshotObject.key(damaged)) != nil)
        #expect(try SnapshotRepair(try repository.open()).run().isEmpty, "repaired once")

        try repository.store.delete(SnapshotObject.key(new))
        let again = try SnapshotRepair(try repository.open()).run(forget: true)
        #expect(again.count == 1)
        #expect(try repository.store.stat(SnapshotObject.key(damaged)) == nil)
        #expect(try repository.check().errors == [])
        #expect(try journal(repository).contains("forget"))
    }

    @Test func aWriterKeyRepairsNothing() throws {
        let (original, _) = try RepositoryCheckTests.make()
        defer { original.remove() }
        var keys = original.keys
        let added = try keys.addKey(to: original.store, .machine, role: .writer, label: "w")
        let file = Array(try #require(added.keyFile).utf8)
        let writer = try original.opened(with: try KeyRing.open(original.store, .machineKey(file)))
        defer { writer.remove() }
        #expect(throws: RepoError.self) { try IndexRepair(try writer.open()).run() }
        #expect(throws: RepoError.self) { try PackRepair(try writer.open()).run() }
        #expect(throws: RepoError.self) { try SnapshotRepair(try writer.open()).run() }
        #expect(throws: RepoError.self) { try writer.check() }
    }
}
