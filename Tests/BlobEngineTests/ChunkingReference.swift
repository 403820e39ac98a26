@testable import BlobEngine

/// Chunking as format.md, 11.1 and 11.2 spell it out, byte by byte: slow, and written from the page alone.
enum ChunkingReference {
    static func candidates(_ table: GearTable, _ content: [UInt8]) -> [Candidate] {
        var found: [Candidate] = []
        var h: UInt64 = 0
        for (index, byte) in content.enumerated() {
            h = (h << 1) &+ table.words[Int(byte)]
            if h >> 57 == 0 { found.append(Candidate(position: UInt32(index + 1), hash: h)) }
        }
        return found
    }

    static func chunks(_ table: GearTable, _ content: [UInt8], _ profile: ChunkProfile) -> [CutChunk] {
        var chunks: [CutChunk] = []
        var h: UInt64 = 0
        var length = 0
        var seen: Set<UInt32> = []
        var previous: UInt64?
        func end() {
            chunks.append(CutChunk(length: length, sketch: Sketch(seen.sorted().prefix(48))))
            length = 0
            seen = []
            previous = nil
        }
        for byte in content {
            h = (h << 1) &+ table.words[Int(byte)]
            length += 1
            let zeros = h.leadingZeroBitCount
            if zeros >= 7, length >= 64 {
                if let p = previous {
                    var z = h &+ p &* 0x9E37_79B1_85EB_CA87
                    z ^= z >> 32
                    z = z &* 0xC2B2_AE3D_27D4_EB4F
                    seen.insert(max(UInt32(truncatingIfNeeded: z >> 32), 1))
                }
                previous = h
            }
            var bits = length < profile.normal ? profile.strictBits : profile.looseBits
            var decisive = zeros
            if profile.decision == .keyedHash {
                bits -= 7
                decisive = zeros < 7 ? -1 : table.cutKey.hash(h).leadingZeroBitCount
            }
            if length == profile.maximum || (length >= profile.minimum && decisive >= bits) { end() }
        }
        if length > 0 { end() }
        return chunks
    }

    /// Scans and cuts in segments of the given lengths, as the pipeline does.
    static func cut(
        _ table: GearTable, _ content: [UInt8], _ profile: ChunkProfile, segments: [Int]
    ) -> [CutChunk] {
        var chunks: [CutChunk] = []
        var cutter = ChunkCutter(profile: profile, key: table.cutKey)
        var buffer = CandidateBuffer()
        content.withUnsafeBufferPointer { bytes in
            var done = 0
            for (index, length) in segments.enumerated() {
                buffer.removeAll()
                CandidateScanner.scan(
                    table, base: bytes.baseAddress! + done, count: length, before: min(done, 63),
                    into: &buffer)
                done += length
                cutter.feed(
                    candidates: buffer, segmentLength: length, isLast: index == segments.count - 1
                ) { chunks.append($0) }
            }
            precondition(done == content.count)
        }
        return chunks
    }

    /// Random lengths, 0 among them, that add up to `total`.
    static func segments(_ total: Int, longest: Int, _ random: inout GeneratedBytes) -> [Int] {
        var lengths: [Int] = []
        var rest = total
        while rest > 0 {
            let length = min(rest, Int.random(in: 0...longest, using: &random))
            lengths.append(length)
            rest -= length
        }
        return lengths.isEmpty ? [0] : lengths
    }
}
