import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

/// Damage of every kind to every kind of object: a check names the object, nothing crashes, and no wrong byte is ever read.
@Suite struct DamageTests {
    enum Injury: CaseIterable {
        case flippedFirst, flippedMiddle, flippedLast, flippedAnywhere, zeroedPage, truncated, emptied,
            removed, swapped

        /// Nil when it cannot be done to this object; `other` is one of the same kind.
        func apply(_ bytes: [UInt8], other: [UInt8]?, turn: Int) -> [UInt8]? {
            var bytes = bytes
            switch self {
            case .flippedFirst: bytes[0] ^= 1
            case .flippedMiddle: bytes[bytes.count / 2] ^= 0x40
            case .flippedLast: bytes[bytes.count - 1] ^= 0x80
            case .flippedAnywhere: bytes[(bytes.count / 7 * (turn + 1)) % bytes.count] ^= 4
            case .zeroedPage:
                let start = bytes.count / 3
                let end = min(bytes.count, start + 4096)
                guard bytes[start..<end].contains(where: { $0 != 0 }) else { return nil }
                for index in start..<end { bytes[index] = 0 }
            case .truncated: bytes.removeLast(bytes.count / 4 + 1)
            case .emptied: bytes = []
            case .removed: return nil
            case .swapped:
                guard let other, other != bytes else { return nil }
                return other
            }
            return bytes
        }
    }

    /// A repository with at least two objects of every kind.
    static func make() throws -> (repository: CheckedRepository, files: [ObjectID: [String: [UInt8]]]) {
        let made = try RepositoryCheckTests.make()
        var keys = made.repository.keys
        _ = try keys.addKey(
            to: made.repository.store, .machine, role: .full, label: "second",
            scrypt: ScryptParameters(log2N: 10, r: 1, p: 1))
        let repository = try made.repository.opened(with: keys)
        made.repository.remove()
        let open = try repository.open()
        for id in made.files.keys {
            var fields = RecordFields(time: 1)
            fields.action = "hold"
            fields.subjects = [Array("\(id)".utf8)]
            try repository.store.put(
                SnapshotObject.holdKey(id), SealedRecord.encode(.hold, fields, by: keys), .create)
        }
        try CollectionRecord.write(StoreKey("gc/00000001/condemned"), [RandomBytes.make(32)], open)
        try CollectionRecord.write(StoreKey("gc/00000001/writers"), [RandomBytes.make(16)], open)
        for number in 1...2 {
            try Reports(open).add(Report(time: FileTime(seconds: Int64(number), nanoseconds: 0), source: "s", outcome: 0, text: "{}"))
        }
        return (repository, made.files)
    }

    /// The folder says the kind.
    static func kind(_ key: StoreKey) -> Damage.Kind {
        let text = key.description
        if text.hasSuffix(".hold") { return .hold }
        switch text.split(separator: "/")[0] {
        case "config", "configs": return .config
        case "keys": return .key
        case "packs": return .pack
        case "index": return .index
        case "snapshots": return .snapshot
        case "journal": return .journal
        case "reports": return .report
        default: return .collection
        }
    }

    @Test(arguments: Injury.allCases) func checkNamesTheDamagedObject(_ injury: Injury) throws {
        let (original, files) = try Self.make()
        defer { original.remove() }
        #expect(try original.check().errors == [])
        let keys = try original.keys("")
        for (turn, key) in keys.enumerated() {
            let kind = Self.kind(key)
            let bytes = try original.store.get(key, atMost: 1 << 30)
            let other = try keys.first { $0 != key && Self.kind($0) == kind }
                .map { try original.store.get($0, atMost: 1 << 30) }
            let isDamaged = injury.apply(bytes, other: other, turn: turn)
            guard isDamaged != nil || injury == .removed else { continue }
            // Absent is a valid state of these.
            if injury == .removed, [.snapshot, .hold, .journal, .report, .collection].contains(kind) { continue }
            let copy = try original.copy()
            defer { copy.remove() }
            if let isDamaged {
                try copy.store.put(key, isDamaged, .replace)
            } else {
                try copy.store.delete(key)
            }
            let report = try copy.check()
            if injury == .removed, kind == .index {
                // A segment that is gone is known by what nothing names any more.
                #expect(!report.errors.isEmpty || !report.unindexedPacks.isEmpty, "\(key)")
            } else if injury == .swapped, key == ConfigHistory.key {
                // An older generation in its place: the check puts the latest there again, and tells.
                #expect(report.hasFinishedKeyChange && report.errors.isEmpty)
            } else {
                #expect(
                    report.errors.contains { $0.object == "\(key)" && $0.kind == kind },
                    "\(key) \(injury): \(report.errors)")
            }
            for (id, content) in files where kind != .snapshot { try expectNoWrongByte(copy, id, content) }
        }
    }

    private func expectNoWrongByte(_ copy: CheckedRepository, _ id: ObjectID, _ content: [String: [UInt8]])
        throws
    {
        let found: [String: Result<[UInt8], RepoError>]
        do {
            found = try copy.read(id)
        } catch let error as RepoError {
            #expect(error.code == .damaged)
            return
        }
        for (path, result) in found {
            switch result {
            case .success(let bytes): #expect(bytes == content[path], "\(path)")
            case .failure(let error): #expect(error.code == .damaged, "\(path): \(error)")
            }
        }
    }

    @Test func aPackWithAFlippedBitAtManyPlacesIsNamed() throws {
        let (original, files) = try RepositoryCheckTests.make()
        defer { original.remove() }
        for key in try original.keys(PackObject.prefix) {
            let bytes = try original.store.get(key, atMost: 1 << 30)
            let places =
                stride(from: 0, to: bytes.count, by: max(1, bytes.count / 13)).map { $0 }
                + (1...12).map { bytes.count - 17 * $0 }
            for place in places where place >= 0 {
                let copy = try original.copy()
                defer { copy.remove() }
                var damaged = bytes
                damaged[place] ^= 1 << UInt8(place % 8)
                try copy.store.put(key, damaged, .replace)
                let report = try copy.check()
                #expect(report.errors.map(\.object) == ["\(key)"], "at \(place)")
                for (id, content) in files { try expectNoWrongByte(copy, id, content) }
            }
        }
    }

    @Test func anObjectUnderAnotherNameIsNamed() throws {
        let (original, _) = try RepositoryCheckTests.make()
        defer { original.remove() }
        let name = ObjectID(words: 1, 2, 3, 4)
        for prefix in ["snapshots/", "index/", "journal/"] {
            let copy = try original.copy()
            defer { copy.remove() }
            let key = try #require(try original.keys(prefix).first)
            try copy.store.put(
                StoreKey("\(prefix)\(name)"), try original.store.get(key, atMost: 1 << 30), .create)
            #expect(try copy.check(nil).errors.map(\.object) == ["\(prefix)\(name)"])
        }
    }

    @Test func damageIsMappedToSnapshotsAndPaths() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        let first = try repository.snapshot([
            "same": testBytes(100_000, seed: 9), "x/old": testBytes(90_000, seed: 10),
        ])
        let view = try repository.open().index()
        let chunks = Set(
            view.tables.flatMap { table in
                (0..<table.count).compactMap { position in
                    table.record(at: position)!.type == .chunk
                        ? table.packs[table.pack(at: position)!].id : nil
                }
            })
        let second = try repository.snapshot(
            ["same": testBytes(100_000, seed: 9), "x/new": testBytes(80_000, seed: 11)], second: 2000)
        for id in chunks { try repository.store.delete(PackObject.key(id)) }
        let report = try repository.check(nil)
        #expect(report.errors.map(\.object) == chunks.map { "\(PackObject.key($0))" })
        #expect(report.errors.first?.problem == "it is missing")
        #expect(report.errors.first?.snapshots == [first, second])
        #expect(report.errors.first.map { Set($0.paths) } == [Array("/same".utf8), Array("/x/old".utf8)])
    }

    @Test func aSourceIsCheckedAlone() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(["one": testBytes(50_000, seed: 1)], source: "one")
        let packs = try repository.keys(PackObject.prefix)
        try repository.snapshot(["two": testBytes(50_000, seed: 2)], source: "two")
        let report = try repository.check(.all, source: "one")
        #expect(report.verifiedPacks == UInt64(packs.count))
        #expect(report.errors == [])
        #expect(throws: RepoError.self) { try repository.check(.all, source: "three") }
    }
}
