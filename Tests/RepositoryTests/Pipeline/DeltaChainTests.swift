import BlobEngine
import RepoBase
import Testing

@testable import Repository

/// Many generations of a stream, each a little different from the one before: what daily dumps are.
@Suite("Chains of deltas over many snapshots")
struct DeltaChainTests {
    @Test("Forty generations of random edits: each is restored, and no chain has more than three links", arguments: UInt64(21)...24)
    func generations(seed: UInt64) throws {
        let streams = try StreamRepository()
        var numbers = StreamNumbers(seed: seed)
        var bytes = numbers.text(250_000)
        var stored: [(bytes: [UInt8], content: Content, size: UInt64)] = []
        let repository = try streams.open()
        var deepest = 0
        for _ in 0..<40 {
            let entry = try streams.store(
                bytes, in: repository, previous: stored.last?.content, threads: Int.random(in: 1...3, using: &numbers))
            stored.append((bytes, entry.content, entry.size))
            let index = try repository.index()
            for chunk in try streams.chunks(entry, in: repository) {
                deepest = max(deepest, try Self.links(below: #require(chunk.id), index))
            }
            for _ in 0..<Int.random(in: 0...6, using: &numbers) { numbers.edit(&bytes) }
            // Now and then back to what was: the same blobs, or deltas on deltas of another branch.
            if Int.random(in: 0..<8, using: &numbers) == 0 { bytes = stored.randomElement(using: &numbers)!.bytes }
        }
        #expect(deepest == DeltaBases.maximumDepth(.chunk), "the bound is reached and kept")
        let reopened = try streams.open()
        for (bytes, content, size) in stored {
            var read: [UInt8] = []
            try ContentStream(reopened, threads: 2).read(content, size: size) { read += $0 }
            #expect(read == bytes)
        }
    }

    @Test("What a day adds does not grow with the days")
    func growth() throws {
        let streams = try StreamRepository()
        var numbers = StreamNumbers(seed: 5)
        var bytes = numbers.text(400_000)
        let repository = try streams.open()
        var previous: Content?
        var known: Set<BlobID> = []
        var added: [Int] = []
        for _ in 1...30 {
            let entry = try streams.store(bytes, in: repository, previous: previous, threads: 2)
            previous = entry.content
            let index = try repository.index()
            let fresh = Set(try streams.chunks(entry, in: repository).compactMap(\.id)).subtracting(known)
            known.formUnion(fresh)
            added.append(fresh.reduce(0) { $0 + Int(index.locations(of: $1)[0].record.storedLength) })
            // A row in about 1,500 bytes, somewhere else each day.
            for start in stride(from: 0, to: bytes.count - 1500, by: 1500) {
                bytes[start + Int.random(in: 0..<1500, using: &numbers)] = UInt8(ascii: "x")
            }
        }
        let oneDay = added[1]
        let late = added[20..<30].reduce(0, +) / 10
        // Resting on the same old versions for ever, they would be more than twenty times as large by then.
        #expect(late < 9 * oneDay, "\(added)")
    }

    /// Counted here anew, along every base.
    private static func links(below id: BlobID, _ index: IndexView) throws -> Int {
        let record = try #require(index.locations(of: id).first?.record)
        guard record.encoding == .delta else { return 0 }
        return try (0..<record.bases.count).map { base in
            try links(below: #require(index.candidates(prefix: record.bases[base]).first), index)
        }.max()! + 1
    }
}

@Suite("When a link is made anew")
struct ChainRenewalTests {
    /// A content of which one unit changes each day, all in new places: a delta costs its distance in days.
    @Test("Steady drift costs little more than the best that is possible, and no more from year to year")
    func drift() {
        func perDay(_ days: Int) -> Double {
            let costs = Self.simulate(days: days, depth: 3, plain: 80)
            return Double(costs.reduce(0, +)) / Double(days)
        }
        let best = Double(Self.leastCost(days: 30, depth: 3)) / 30
        #expect(perDay(30) < 1.1 * best, "\(perDay(30)), and the best is \(best)")
        #expect(perDay(365) < 6)
        #expect(perDay(3650) < 6)
    }

    @Test("A delta that has not grown beyond the day's change is no reason to renew")
    func saturated() {
        #expect(!ChainRenewal.isDue(delta: 1000, unit: 1000, below: 1000))
        #expect(!ChainRenewal.isDue(delta: 16 << 20, unit: 16 << 20, below: 16 << 20))
        #expect(ChainRenewal.isDue(delta: 2000, unit: 1000, below: 2000))
    }

    private static func simulate(days: Int, depth bound: Int, plain: Int) -> [Int] {
        var nodes: [(parent: Int, depth: Int, stored: Int)] = [(0, 0, plain)]
        return (1...days).map { day in
            var base = day - 1
            var stored = 1
            if nodes[base].depth == bound {
                var unit = 1
                base = nodes[base].parent
                stored = day - base
                while ChainRenewal.isDue(delta: stored, unit: unit, below: nodes[base].stored) {
                    unit = stored
                    guard nodes[base].depth > 0 else {
                        nodes.append((day, 0, plain))
                        return plain
                    }
                    base = nodes[base].parent
                    stored = day - base
                }
            }
            nodes.append((base, nodes[base].depth + 1, stored))
            return stored
        }
    }

    /// The least sum of distances for so many days below one plain blob, over all trees of bounded depth: the last child of the root and
    /// what is below it come after everything else.
    private static func leastCost(days: Int, depth: Int) -> Int {
        var table = [(0...days).map { $0 * ($0 + 1) / 2 }]
        for _ in 1..<depth {
            var costs = [0]
            for day in 1...days {
                costs.append((1...day).map { costs[day - $0] + day - $0 + 1 + table.last![$0 - 1] }.min()!)
            }
            table.append(costs)
        }
        return table.last![days]
    }
}
