import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

/// Every kind of object, every part of its bytes, every injury: a check of all data names the object.
@Suite("Damage of every part of every object", .serialized) struct DamageClassTests {
    private let repository: CheckedRepository
    private let files: [ObjectID: [String: [UInt8]]]
    /// By their packs.
    private var blobs: [ObjectID: [BlobRecord]] = [:]

    init() throws {
        let (original, files) = try DamageTests.make()
        self.files = files
        var keys = original.keys
        // Three generations of config, and keys of two epochs.
        _ = try keys.rotate(in: original.store)
        repository = try original.opened(with: keys)
        original.remove()
        _ = try repository.snapshot(["later": testBytes(70_000, seed: 12)], second: 3000)
        for _ in 0..<2 { _ = try WriterRegistration.begin(repository.open()) }
        for id in try repository.keys(WriterRegistration.prefix).map({ Hexadecimal.decode($0.description.dropFirst(8))! }) {
            for key in [WriterRegistration.signKey(id), WriterRegistration.fenceKey(id)] {
                try repository.store.put(key, SealedRecord.encode(.writer, RecordFields(time: 1, name: key), by: keys), .replace)
            }
        }
        for number in 2...3 {
            for (name, length) in [("condemned", 32), ("writers", 16), ("swept", 16)] {
                try CollectionRecord.write(StoreKey("gc/0000000\(number)/\(name)"), [RandomBytes.make(length)], repository.open())
            }
        }
        _ = try ParityUpkeep(repository.open(), parity: 10_000, threads: 1).run()
        for table in try repository.open().index().tables {
            for position in 0..<table.count {
                guard let record = table.record(at: position), let pack = table.pack(at: position) else { continue }
                blobs[table.packs[pack].id, default: []].append(record)
            }
        }
    }

    private func layout(_ key: StoreKey, _ bytes: [UInt8]) -> ObjectLayout {
        ObjectLayout(key, bytes, blobs: PackObject.id(key).flatMap { blobs[$0] } ?? [])
    }

    /// Objects of one kind and one form, so that one may stand in for another.
    private func form(_ key: StoreKey) -> String {
        let parts = key.description.split(separator: "/")
        if parts.count == 1 { return "config" }
        if parts[0] == "gc" { return "gc/" + parts.last! }
        if parts[0] == "parity" { return parts[1] == "snapshots" ? "parity/snapshots" : parts.last!.hasPrefix("group") ? "parity/group" : "parity/row" }
        if parts[0] == "packs" { return blobs[PackObject.id(key)!]?.first?.type == .chunk ? "packs of data" : "packs of trees" }
        return parts[0] + (parts.last!.split(separator: ".").dropFirst().last.map { ".\($0)" } ?? "")
    }

    /// What a check of this copy says of the object.
    private func isNamed(_ key: StoreKey, _ copy: CheckedRepository) throws -> Bool {
        let report: CheckReport
        do {
            report = try copy.check()
        } catch let error as RepoError {
            return error.message.contains("\(key)")
        }
        return report.errors.contains { $0.object == "\(key)" }
    }

    @Test("A flipped bit, zeros and an end that is missing are named, in each part of each object") func parts() throws {
        defer { repository.remove() }
        #expect(try repository.check().errors == [])
        var tried: [String: Int] = [:]
        var missed: [String] = []
        for key in try repository.keys("") {
            let bytes = try repository.store.get(key, atMost: 1 << 30)
            for part in layout(key, bytes).distinct {
                let (start, end) = (part.range.lowerBound, part.range.upperBound)
                var injuries: [(String, [UInt8])] = Set([start, (start + end) / 2, end - 1]).map { place in
                    var flipped = bytes
                    flipped[place] ^= 1 << UInt8(place % 8)
                    return ("flipped at \(place)", flipped)
                }
                var zeroed = bytes
                for place in part.range { zeroed[place] = 0 }
                if zeroed != bytes { injuries.append(("zeros", zeroed)) }
                injuries.append(("cut", Array(bytes[..<start])))
                for (injury, damaged) in injuries {
                    let copy = try repository.copy()
                    defer { copy.remove() }
                    try copy.store.put(key, damaged, .replace)
                    tried[form(key), default: 0] += 1
                    if try !isNamed(key, copy) { missed.append("\(key) \(part.name): \(injury)") }
                }
            }
        }
        print("injuries:", tried.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        #expect(missed == [])
        #expect(tried.values.reduce(0, +) > 1000)
    }

    @Test("A valid object of the same kind in another's place is named") func swapped() throws {
        defer { repository.remove() }
        let keys = try repository.keys("")
        var count = 0
        var missed: [String] = []
        for key in keys {
            let bytes = try repository.store.get(key, atMost: 1 << 30)
            for other in keys where other != key && form(other) == form(key) {
                let others = try repository.store.get(other, atMost: 1 << 30)
                guard others != bytes else { continue }
                let copy = try repository.copy()
                defer { copy.remove() }
                try copy.store.put(key, others, .replace)
                count += 1
                if try !isNamed(key, copy) { missed.append("\(key) is \(other)") }
            }
        }
        #expect(missed == [])
        #expect(count > 50)
        print("swapped: \(count)")
    }

    /// Holds, the journal, reports, registrations and the collector's records come and go, or nothing needs them; snapshots that are gone are noticed by whoever saw them
    /// (`FreshnessTests`).
    @Test("An object that something needs and that is gone is named") func removed() throws {
        defer { repository.remove() }
        for key in try repository.keys("") where ["packs", "index", "config", "configs", "keys", "parity"].contains(key.description.split(separator: "/")[0]) {
            // The next upkeep makes it anew.
            if key.description.hasPrefix("parity/snapshots/") { continue }
            let copy = try repository.copy()
            defer { copy.remove() }
            try copy.store.delete(key)
            let report = try copy.check()
            let isNamed = report.errors.contains { $0.object == "\(key)" }
            // A segment that is gone is known by what nothing names any more.
            #expect(isNamed || key.description.hasPrefix("index/") && (!report.errors.isEmpty || !report.unindexedPacks.isEmpty), "\(key): \(report.errors)")
        }
    }

    @Test("What does not belong there is named, under names of every kind") func added() throws {
        defer { repository.remove() }
        let name = ObjectID(words: 5, 6, 7, 8)
        let strangers = [
            "packs/\("\(name)".prefix(2))/\(name)", "index/\(name)", "snapshots/\(name)", "snapshots/\(name).hold", "journal/\(name)", "reports/\(name)", "keys/\("\(name)".prefix(32))",
            "configs/00000009", "writers/\("\(name)".prefix(32))", "gc/00000009/condemned",
        ].map { StoreKey($0) }
        for key in strangers {
            let copy = try repository.copy()
            defer { copy.remove() }
            try copy.store.put(key, RandomBytes.make(400), .create)
            #expect(try isNamed(key, copy), "\(key)")
        }
    }

    @Test("An older config in its place is told, and replaced by the latest") func rolledBack() throws {
        defer { repository.remove() }
        let generations = try repository.keys("configs/")
        #expect(generations.count >= 3)
        for generation in generations.dropLast() {
            let copy = try repository.copy()
            defer { copy.remove() }
            try copy.store.put(ConfigHistory.key, copy.store.get(generation, atMost: 1 << 20), .replace)
            let report = try copy.check()
            #expect(report.hasFinishedKeyChange && report.errors.isEmpty, "\(generation)")
            #expect(try copy.store.get(ConfigHistory.key, atMost: 1 << 20) == copy.store.get(generations.last!, atMost: 1 << 20))
            #expect(try !copy.check().hasFinishedKeyChange)
        }
    }

    /// What a damaged blob takes along: the files whose content, or whose directory, it is part of or a base of; and not one more.
    @Test("A damaged blob costs the files that it serves, and no other") func blastRadius() throws {
        defer { repository.remove() }
        let index = try repository.open().index()
        func closure(_ id: BlobID) -> Set<BlobID> {
            var found: Set<BlobID> = [id]
            for location in index.locations(of: id) {
                for base in 0..<location.record.bases.count {
                    for candidate in index.candidates(prefix: location.record.bases[base]) { found.formUnion(closure(candidate)) }
                }
            }
            return found
        }
        var served: [ObjectID: [String: Set<BlobID>]] = [:]
        let open = try repository.open()
        let reader = BlobReader(open)
        for id in files.keys {
            var waiting = [(try SnapshotCatalog(open).read(id).snapshot.root, "", Set<BlobID>())]
            while let (tree, path, above) = waiting.popLast() {
                let above = above.union(closure(tree))
                guard case .leaf(let entries) = try TreeCodec.decode(try reader.bytes(tree, .tree), object: "tree") else { continue }
                for entry in entries {
                    let name = path + String(decoding: entry.name, as: UTF8.self)
                    if let subtree = entry.subtree { waiting.append((subtree, name + "/", above)) }
                    guard let content = entry.content else { continue }
                    var needs = above
                    if case .list(let list) = content { needs.formUnion(closure(list)) }
                    try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { chunk, _ in
                        if let chunk = chunk.id { needs.formUnion(closure(chunk)) }
                        return true
                    }
                    served[id, default: [:]][name] = needs
                }
            }
        }
        var count = 0
        for (pack, records) in blobs {
            let key = PackObject.key(pack)
            let bytes = try repository.store.get(key, atMost: 1 << 30)
            for record in records {
                let copy = try repository.copy()
                defer { copy.remove() }
                var damaged = bytes
                damaged[Int(record.offset) + Int(record.storedLength) / 2] ^= 16
                try copy.store.put(key, damaged, .replace)
                count += 1
                for (id, paths) in served {
                    // A root tree that is gone takes everything along.
                    let found = (try? copy.read(id)) ?? [:]
                    for (path, needs) in paths {
                        let isThere = if case .success(let content) = found[path] { content == files[id]![path] } else { false }
                        #expect(isThere == !needs.contains(record.id), "\(record.type) \(record.id) \(path)")
                    }
                }
            }
        }
        #expect(count > 30)
        print("blobs damaged: \(count)")
    }
}
