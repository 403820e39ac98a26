import RepoBase
import Testing

@testable import BlobEngine

@Suite struct ChunkCutterTests {
    static let table = GearTable(chunkerSecret: Array(0..<32))
    /// Small sizes, so that short inputs have many chunks.
    static let small = try! ChunkProfile(
        minimum: 4096, normal: 8192, maximum: 16384, strictBits: 13, looseBits: 11)

    /// Noise, rows, runs of zeros and of every other byte, in one content.
    static func mixture(_ random: inout GeneratedBytes) -> [UInt8] {
        var content: [UInt8] = []
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let length = Int.random(in: 0...60_000, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: content += random.noise(length)
            case 1: content += random.rows(length)
            case 2: content += [UInt8](repeating: .random(in: 0...255, using: &random), count: length)
            default: content += [UInt8](repeating: 0, count: length)
            }
        }
        return content
    }

    static let keyed = try! ChunkProfile(
        minimum: 4096, normal: 8192, maximum: 16384, strictBits: 13, looseBits: 11, decision: .keyedHash)

    @Test(arguments: 1...40)
    func cutsAndSketchesDoNotDependOnTheSegments(seed: UInt64) {
        var random = GeneratedBytes(seed: seed)
        let content = Self.mixture(&random)
        for profile in [Self.small, Self.keyed] {
            let expected = ChunkingReference.chunks(Self.table, content, profile)
            for longest in [100, 5000, 70_000] {
                let segments = ChunkingReference.segments(content.count, longest: longest, &random)
                let chunks = ChunkingReference.cut(Self.table, content, profile, segments: segments)
                #expect(chunks == expected, "segments of at most \(longest)")
            }
        }
    }

    /// The table of vectors of SipHash's authors: key 00 to 0f, message 00 to 07.
    @Test func cutsAreDecidedBySipHash() {
        #expect(CutKey(sipHash: Array(0..<16)).hash(0x0706_0504_0302_0100) == 0x93f5_f579_9a93_2462)
    }

    @Test func keyedCutsAreAsLongAsThoseOfTheRollingHash() {
        var random = GeneratedBytes(seed: 39)
        let content = random.noise(8 << 20)
        let counts = [Self.small, Self.keyed].map {
            ChunkingReference.cut(Self.table, content, $0, segments: [content.count]).count
        }
        #expect(abs(counts[0] - counts[1]) < counts[0] / 20, "\(counts)")
    }

    @Test(arguments: 1...40)
    func chunksAddUpToTheContentWithinTheirBounds(seed: UInt64) {
        var random = GeneratedBytes(seed: seed &* 77)
        let content = Self.mixture(&random)
        let chunks = ChunkingReference.cut(Self.table, content, Self.small, segments: [content.count])
        #expect(chunks.reduce(0) { $0 + $1.length } == content.count)
        for chunk in chunks.dropLast() {
            #expect((Self.small.minimum...Self.small.maximum).contains(chunk.length))
        }
        if let last = chunks.last { #expect((1...Self.small.maximum).contains(last.length)) }
    }

    @Test func anEmptyContentHasNoChunk() {
        #expect(ChunkingReference.cut(Self.table, [], Self.small, segments: [0]).isEmpty)
    }

    @Test func aCutterServesOneContentAfterTheOther() {
        var random = GeneratedBytes(seed: 9)
        let content = random.rows(100_000)
        var cutter = ChunkCutter(profile: Self.small, key: Self.table.cutKey)
        var rounds: [[CutChunk]] = [[], []]
        for round in 0..<2 {
            var buffer = CandidateBuffer()
            content.withUnsafeBufferPointer {
                CandidateScanner.scan(
                    Self.table, base: $0.baseAddress!, count: $0.count, before: 0, into: &buffer)
            }
            cutter.feed(candidates: buffer, segmentLength: content.count, isLast: true) {
                rounds[round].append($0)
            }
        }
        #expect(rounds[0] == rounds[1])
    }

    @Test func anInsertionChangesOnlyTheChunksAroundIt() {
        var random = GeneratedBytes(seed: 3)
        let content = random.noise(1 << 20)
        let changed = content[..<500_000] + Array("inserted".utf8) + content[500_000...]
        let before = ChunkingReference.cut(Self.table, content, Self.small, segments: [content.count])
        let after = ChunkingReference.cut(Self.table, Array(changed), Self.small, segments: [changed.count])
        #expect(Set(after).subtracting(before).count <= 4)
    }

    /// Whatever the secret, a run of one byte must not make every position a candidate.
    @Test func runsOfOneByteHaveNoCandidates() {
        for secret in 0..<UInt8(4) {
            let table = GearTable(chunkerSecret: [UInt8](repeating: secret, count: 32))
            let dense = (0...UInt8.max).filter { byte in
                var buffer = CandidateBuffer()
                let run = [UInt8](repeating: byte, count: 300)
                run.withUnsafeBufferPointer {
                    CandidateScanner.scan(table, base: $0.baseAddress!, count: 300, before: 0, into: &buffer)
                }
                return buffer.withCandidates { $0.contains { $0.position >= 64 } }
            }
            #expect(dense == [], "secret \(secret)")
        }
    }

    @Test func profilesThatCannotWorkAreRefused() {
        for (minimum, normal, maximum, strict, loose) in [
            (0, 8192, 16384, 13, 11), (8192, 4096, 16384, 13, 11), (4096, 8192, 8000, 13, 11),
            (4096, 8192, 17 << 20, 13, 11), (4096, 8192, 16384, 11, 13), (4096, 8192, 16384, 13, 6),
            (4096, 8192, 16384, 64, 11), (-1, 8192, 16384, 13, 11),
        ] {
            #expect(throws: RepoError.self) {
                try ChunkProfile(
                    minimum: minimum, normal: normal, maximum: maximum, strictBits: strict, looseBits: loose)
            }
        }
        for size in [0, -4096, 1000, 32 << 20] {
            #expect(throws: RepoError.self) { try PageProfile(chunkSize: size) }
        }
    }
}
