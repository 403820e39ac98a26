import Testing

@testable import BlobEngine

@Suite struct CandidateScannerTests {
    static let table = GearTable(chunkerSecret: Array(0..<32))

    static func scan(_ content: [UInt8], from start: Int, before: Int) -> [Candidate] {
        var buffer = CandidateBuffer()
        content.withUnsafeBufferPointer {
            CandidateScanner.scan(
                table, base: $0.baseAddress! + start, count: content.count - start, before: before,
                into: &buffer)
        }
        return buffer.withCandidates { Array($0) }
    }

    /// Lengths around the block of the interleaved loop and its unrolling.
    @Test(arguments: [0, 1, 3, 63, 64, 65, 8191, 8192, 16383, 16384, 16385, 24577, 32768, 100_001])
    func findsWhatTheReferenceFinds(length: Int) {
        var random = GeneratedBytes(seed: UInt64(length))
        let content = random.noise(length)
        #expect(Self.scan(content, from: 0, before: 0) == ChunkingReference.candidates(Self.table, content))
    }

    @Test(arguments: [1, 10, 62, 63, 64, 1000, 16384, 30_000])
    func aSegmentFindsWhatTheWholeHasThere(start: Int) {
        var random = GeneratedBytes(seed: 5)
        let content = random.rows(60_000)
        let whole = ChunkingReference.candidates(Self.table, content)
            .filter { $0.position > start }
            .map { Candidate(position: $0.position - UInt32(start), hash: $0.hash) }
        #expect(Self.scan(content, from: start, before: start) == whole)
    }

    @Test func aContentOfCandidatesOnlyFits() {
        // Two bytes in turn settle at two hashes; some pair makes one of them a candidate.
        var densest = 0
        for first in 0..<UInt8(60) {
            for second in 0..<UInt8(60) where second != first {
                let short = (0..<200).map { $0 % 2 == 0 ? first : second }
                let dense = ChunkingReference.candidates(Self.table, short).filter { $0.position >= 64 }
                guard dense.count > 60 else { continue }
                densest = max(densest, dense.count)
                let long = (0..<100_000).map { $0 % 2 == 0 ? first : second }
                #expect(
                    Self.scan(long, from: 0, before: 0) == ChunkingReference.candidates(Self.table, long))
                return
            }
        }
        #expect(densest > 0, "the secret has no dense pair: take another")
    }

    @Test func gearWordsAreThoseOfVersion1() {
        let words = Self.table.words
        #expect(words.count == 256)
        #expect([words[0], words[1], words[97], words[255]] == Golden.gearWords)
    }

    /// Computed from docs/format.md by an independent implementation.
    @Test func cutsAreThoseOfVersion1() throws {
        var random = GeneratedBytes(seed: 2026)
        let content = random.noise(6 << 20)
        let chunks = ChunkingReference.cut(Self.table, content, Golden.profile, segments: [content.count])
        #expect(chunks.map(\.length) == Golden.streamLengths)
        let first = try #require(chunks.first)
        #expect((0..<4).map { first.sketch[$0] } == Golden.firstSketch)
    }
}
