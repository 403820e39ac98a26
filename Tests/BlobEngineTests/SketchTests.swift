import Testing

@testable import BlobEngine

@Suite struct SketchTests {
    static let table = GearTable(chunkerSecret: Array(0..<32))
    static let profile = Golden.profile

    static func chunks(_ content: [UInt8]) -> [CutChunk] {
        ChunkingReference.cut(table, content, profile, segments: [content.count])
    }

    /// How many of a's values b has.
    static func shared(_ a: Sketch, _ b: Sketch) -> Int {
        let values = Set((0..<Sketch.valueCount).map { b[$0] })
        return (0..<Sketch.valueCount).count { a[$0] != 0 && values.contains(a[$0]) }
    }

    @Test(arguments: 1...8)
    func doesNotDependOnWhatStandsBeforeTheChunk(seed: UInt64) {
        var random = GeneratedBytes(seed: seed)
        let content = random.rows(700_000)
        let prefix = random.noise(Int.random(in: 64...200_000, using: &random))
        let alone = Set(Self.chunks(content).dropLast().map(\.sketch))
        let behind = Set(Self.chunks(prefix + content).map(\.sketch))
        // The first cuts differ; from the first common cut on, everything is equal.
        #expect(alone.subtracting(behind).count <= 2)
        #expect(alone.count >= 2)
    }

    @Test func equalBytesHaveEqualSketchesWhereverTheyStand() {
        var random = GeneratedBytes(seed: 11)
        let chunk = random.rows(50_000)
        var sketches: Set<Sketch> = []
        for length in [0, 1, 63, 64, 1000, 20_000] {
            let prefix = random.noise(length)
            var builder = SketchBuilder()
            for candidate in ChunkingReference.candidates(Self.table, prefix + chunk)
            where Int(candidate.position) - length >= CandidateScanner.window {
                builder.add(candidate.hash)
            }
            sketches.insert(builder.finish())
        }
        #expect(sketches.count == 1)
    }

    @Test func scatteredChangesKeepMostOfASketch() {
        var random = GeneratedBytes(seed: 12)
        let old = random.rows(250_000)
        var new = old
        for place in stride(from: 100, to: new.count, by: 25_000) { new[place] ^= 1 }
        func sketch(_ content: [UInt8]) -> Sketch {
            var builder = SketchBuilder()
            for candidate in ChunkingReference.candidates(Self.table, content) { builder.add(candidate.hash) }
            return builder.finish()
        }
        #expect(Self.shared(sketch(old), sketch(new)) >= 40)
        #expect(Self.shared(sketch(old), sketch(random.rows(250_000))) == 0)
    }

    @Test func comesBackFromItsBytes() {
        var random = GeneratedBytes(seed: 14)
        for count in [0, 1, 47, 48] {
            let sketch = Sketch((0..<count).map { _ in UInt32.random(in: 1...UInt32.max, using: &random) })
            var bytes = [UInt8](repeating: 0xAB, count: Sketch.byteCount + 1)
            bytes.withUnsafeMutableBytes { sketch.store(to: $0.baseAddress! + 1) }
            #expect(bytes[0] == 0xAB)
            #expect(bytes.withUnsafeBytes { Sketch(loadingFrom: $0.baseAddress! + 1) } == sketch)
        }
    }

    @Test func keepsTheLowestDistinctValues() {
        var random = GeneratedBytes(seed: 13)
        for count in [0, 1, 2, 3, 48, 49, 50, 500] {
            let hashes = (0..<count).map { _ in random.next() }
            var builder = SketchBuilder()
            for hash in hashes + hashes { builder.add(hash) }
            var values: Set<UInt32> = []
            for (previous, hash) in zip(hashes + hashes, (hashes + hashes).dropFirst()) {
                values.insert(SketchBuilder.mixed(hash, after: previous))
            }
            let expected = values.sorted().prefix(48)
            let sketch = builder.finish()
            let padded = Array(expected) + [UInt32](repeating: 0, count: 48 - expected.count)
            #expect((0..<48).map { sketch[$0] } == padded)
            #expect(sketch.isEmpty == (count == 0))
        }
    }
}

@Suite struct SketchTableTests {
    static func sketch(_ values: some Sequence<UInt32>) -> Sketch {
        Sketch(values.sorted())
    }

    @Test func theChunkWithMostInCommonComesLast() {
        let table = SketchTable([
            Self.sketch(1...4), Self.sketch(100...131), Self.sketch(1...20), Self.sketch(15...40),
        ])
        // 1...20 covers most; of the rest, 21...32, chunk 3 has all; chunk 0 adds nothing.
        #expect(table.bestMatches(Self.sketch(1...32), upTo: 8, near: 0) == [3, 2])
        #expect(table.bestMatches(Self.sketch(1...32), upTo: 1, near: 0) == [2])
    }

    @Test func aChunkOfPiecesOfManyFindsThemAll() {
        let sketches = (0..<UInt32(8)).map { chunk in Self.sketch((chunk * 1000 + 1)...(chunk * 1000 + 32)) }
        var pieceValues: [UInt32] = []
        for chunk in 0..<UInt32(8) { pieceValues += Array((chunk * 1000 + 1)...(chunk * 1000 + 4)) }
        let pieces = Self.sketch(pieceValues)
        let matches = SketchTable(sketches).bestMatches(pieces, upTo: 8, near: 0)
        #expect(Set(matches) == Set(0..<8))
    }

    @Test func amongEqualsTheOneNearestToTheExpectedPlaceWins() {
        let table = SketchTable(Array(repeating: Self.sketch(1...32), count: 1000))
        for expected in [0, 7, 500, 999] {
            #expect(table.bestMatches(Self.sketch(1...32), upTo: 4, near: expected) == [expected])
        }
        #expect(table.bestMatches(Self.sketch(1...32), upTo: 4, near: 5000) == [999])
        #expect(table.bestMatches(Self.sketch(1...32), upTo: 4, near: -5) == [0])
    }

    @Test func whatHasNothingInCommonFindsNothing() {
        let table = SketchTable([Self.sketch(1...32), .empty])
        #expect(table.chunkCount == 2)
        #expect(table.bestMatches(Self.sketch(50...70), upTo: 8, near: 0).isEmpty)
        #expect(table.bestMatches(.empty, upTo: 8, near: 0).isEmpty)
        #expect(SketchTable([]).bestMatches(Self.sketch(1...32), upTo: 8, near: 0).isEmpty)
    }

    @Test func aFullTableKeepsTheLowestValuesOfEachChunk() {
        var random = GeneratedBytes(seed: 21)
        let sketches = (0..<1000).map { _ in
            Self.sketch((0..<32).map { _ in UInt32.random(in: 1...UInt32.max, using: &random) })
        }
        var builder = SketchTable.Builder(capacity: 16_000)
        for sketch in sketches { builder.add(sketch) }
        let table = builder.finish()
        #expect(table.chunkCount == 1000)
        for index in sketches.indices {
            #expect(table.bestMatches(sketches[index], upTo: 1, near: 0) == [index])
        }
    }
}
