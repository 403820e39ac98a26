import RepoBase
import Testing

@testable import BlobEngine

/// What somebody learns who sees lengths of chunks, knows some of the contents, and has chosen others (eprint 2025/532 and 2025/558; docs/threat-model.md).
///
/// The attacker is given more than a store sees: every chunk's exact length, in order, as if nothing were compressed, delta-coded, deduplicated or put
/// together in packs. Known contents have four letters, so that the test is quick; a table of 256 takes 64 times the chosen contents, and no new idea.
@Suite("Attacks on chunking") struct ChunkingAttackTests {
    private static let letters: [UInt8] = [65, 67, 71, 84]
    private static let rolling = Golden.profile
    private static let keyed = ChunkProfile.stream

    /// The victim: cuts by a secret.
    private struct Victim {
        let table = GearTable(chunkerSecret: Array(7..<39))
        let profile: ChunkProfile

        func lengths(_ content: [UInt8]) -> [Int] {
            ChunkingReference.cut(table, content, profile, segments: [content.count]).map(\.length)
        }
    }

    private static func text(_ letters: [UInt8], _ count: Int, _ random: inout GeneratedBytes) -> [UInt8] {
        let bits = letters.count == 2 ? 1 : 2
        var content = [UInt8](repeating: 0, count: count)
        var word: UInt64 = 0
        content.withUnsafeMutableBufferPointer { content in
            for place in 0..<count {
                if place % (64 / bits) == 0 { word = random.next() }
                content[place] = letters[Int(word & UInt64(letters.count - 1))]
                word >>= UInt64(bits)
            }
        }
        return content
    }

    /// Cuts that a content's lengths show. Those at the maximum and the end say nothing.
    private static func cuts(_ lengths: [Int], _ profile: ChunkProfile, zeros: (_ isBelowNormal: Bool) -> Int) -> [GearAttack.Cut] {
        var position = 0
        var cuts: [GearAttack.Cut] = []
        for length in lengths.dropLast() {
            position += length
            if length < profile.maximum { cuts.append(.init(position: position, zeros: zeros(length < profile.normal))) }
        }
        return cuts
    }

    /// Has the victim back up contents of the attacker's choice, and recovers its table from where they were cut.
    private static func extract(
        _ victim: Victim, knownBits: Int, equations: Int, size: Int, zeros: (_ isBelowNormal: Bool) -> Int
    ) -> GearAttack? {
        var attack = GearAttack(base: letters[0], knownBits: knownBits, equations: equations)
        var random = GeneratedBytes(seed: 532)
        for letter in letters.dropFirst() {
            let chosen = text([letters[0], letter], size, &random)
            guard attack.learn(letter, from: chosen, cuts(victim.lengths(chosen), victim.profile, zeros: zeros)) else { return nil }
        }
        return attack
    }

    private static let documents: [[UInt8]] = {
        var random = GeneratedBytes(seed: 558)
        return (0..<8).map { _ in text(letters, 1_500_000, &random) }
    }()

    /// Of which documents at least half of the lengths that this table predicts were seen.
    private static func recognised(_ table: GearTable, _ profile: ChunkProfile, _ seen: Set<Int>) -> [Int] {
        documents.indices.filter { number in
            let predicted = ChunkingReference.cut(table, documents[number], profile, segments: [documents[number].count]).map(\.length)
            return predicted.count { seen.contains($0) } * 2 > predicted.count
        }
    }

    private static let stored = [0, 3, 4, 6]

    @Test("Cuts by the rolling hash give the table away, and with it which known contents are stored")
    func rollingHash() throws {
        let victim = Victim(profile: Self.rolling)
        let attack = try #require(Self.extract(victim, knownBits: 16, equations: 9, size: 4_500_000) { $0 ? 18 : 16 })
        for letter in Self.letters.dropFirst() {
            #expect(attack.differences[letter] == victim.table.words[Int(letter)] &- victim.table.words[Int(Self.letters[0])])
        }
        let seen = Set(Self.stored.flatMap { victim.lengths(Self.documents[$0]) })
        #expect(Self.recognised(try #require(attack.table), Self.rolling, seen) == Self.stored)
    }

    @Test("Cuts by the keyed function do not: neither the same equations nor the right table tell where they are")
    func keyedHash() throws {
        let victim = Victim(profile: Self.keyed)
        #expect(Self.extract(victim, knownBits: 16, equations: 9, size: 4_500_000) { $0 ? 18 : 16 } == nil)
        let seen = Set(Self.stored.flatMap { victim.lengths(Self.documents[$0]) })
        // With every word of the table, and another key for the decision.
        let table = GearTable(words: victim.table.words)
        #expect(Self.recognised(table, Self.keyed, seen) == [])
        #expect(Self.recognised(table, Self.rolling, seen) == [])
        #expect(Self.recognised(victim.table, Self.keyed, seen) == Self.stored, "the secret does tell")
    }

    @Test("Exact lengths would still tell which known contents may be stored, since cuts are candidates; blocks do not")
    func candidates() throws {
        let victim = Victim(profile: Self.keyed)
        // Seven bits of every cut are known to be zero, which is enough for the table.
        let attack = try #require(Self.extract(victim, knownBits: 7, equations: 22, size: 9_000_000) { _ in 7 })
        let table = try #require(attack.table)
        /// Documents that have a candidate within the block in which each boundary lies.
        func possible(_ lengths: [Int], block: Int) -> [Int] {
            Self.documents.indices.filter { number in
                var buffer = CandidateBuffer()
                Self.documents[number].withUnsafeBufferPointer {
                    CandidateScanner.scan(table, base: $0.baseAddress!, count: $0.count, before: 0, into: &buffer)
                }
                let positions = Set(buffer.withCandidates { $0.map { Int($0.position) / block } })
                return Self.cuts(lengths, victim.profile, zeros: { _ in 7 }).allSatisfy { positions.contains($0.position / block) }
            }
        }
        for number in Self.stored {
            let lengths = victim.lengths(Self.documents[number])
            #expect(possible(lengths, block: 1) == [number])
            #expect(possible(lengths, block: 4096) == Array(Self.documents.indices))
        }
    }
}
