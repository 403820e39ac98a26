@testable import BlobEngine

/// Recovers the table of a gear hash from where contents of two letters were cut, as eprint 2025/532 (chosen contents) and 2025/558 (the hidden number
/// problem) do with their hashes.
///
/// With the letters a and b, the hash at a cut is `c × Δ + u`, where c has a bit for each b in the last 64 bytes, `Δ = table[b] − table[a]`,
/// `u = −table[a]`, all mod 2^64. That the cut was made says that its first bits are zero: so the difference of two of these is small, and Δ is the
/// hidden number that makes all of them so.
struct GearAttack {
    /// What is known of the hash at a cut: at least so many zeros.
    let knownBits: Int
    /// Equations that the lattice is made of; the rest tests what it finds.
    let equations: Int
    /// What was learnt of each letter: Δ but for its sign, and the equations.
    private var learnt: [(letter: UInt8, difference: UInt64, equations: [(pattern: UInt64, zeros: Int)])] = []
    let base: UInt8

    init(base: UInt8, knownBits: Int, equations: Int) { (self.base, self.knownBits, self.equations) = (base, knownBits, equations) }

    /// A cut at this position of a content.
    struct Cut {
        let position: Int
        let zeros: Int
    }

    private func pattern(_ content: [UInt8], _ position: Int, _ letter: UInt8) -> UInt64 {
        content[max(0, position - 64)..<position].reduce(0) { $0 << 1 | ($1 == letter ? 1 : 0) }
    }

    /// Learns one more letter from a content of it and `base`. False when no number fits: the equations are not what they were taken for.
    mutating func learn(_ letter: UInt8, from content: [UInt8], _ cuts: [Cut]) -> Bool {
        let cuts = cuts.filter { $0.position >= 64 }
        guard cuts.count > equations + 1 else { return false }
        let patterns = cuts.map { pattern(content, $0.position, letter) }
        let factors = patterns.dropFirst().map { $0 &- patterns[0] }
        guard let difference = hiddenNumber(factors) else { return false }
        learnt.append((letter, difference, zip(patterns, cuts).map { ($0, $1.zeros) }))
        return true
    }

    /// Differences with such signs that one `u` fits all equations, and where that lies. Where every equation says the same number of zeros, all signs
    /// turned over fit as well, and make the same candidates.
    private var solution: (differences: [UInt64], begin: UInt64, width: UInt64)? {
        for signs in 0..<1 << learnt.count {
            let differences = learnt.indices.map { signs >> $0 & 1 == 0 ? learnt[$0].difference : 0 &- learnt[$0].difference }
            var offset: (begin: UInt64, width: UInt64)?
            let fits = zip(learnt, differences).allSatisfy { letter, difference in
                letter.equations.allSatisfy { Self.narrow(&offset, 0 &- $0.pattern &* difference, 1 << UInt64(64 - $0.zeros)) }
            }
            if fits, let offset { return (differences, offset.begin, offset.width) }
        }
        return nil
    }

    var differences: [UInt8: UInt64] {
        guard let solution else { return [:] }
        return Dictionary(uniqueKeysWithValues: zip(learnt.map(\.letter), solution.differences))
    }

    /// False when nothing is left.
    private static func narrow(_ offset: inout (begin: UInt64, width: UInt64)?, _ begin: UInt64, _ width: UInt64) -> Bool {
        guard let known = offset else {
            offset = (begin, width)
            return true
        }
        let shift = Int64(bitPattern: begin &- known.begin)
        guard shift.magnitude < 1 << 60 else { return false }
        let start = max(0, shift)
        let end = min(Int64(known.width), shift + Int64(width))
        guard start < end else { return false }
        offset = (known.begin &+ UInt64(start), UInt64(end - start))
        return true
    }

    private func hiddenNumber(_ factors: [UInt64]) -> UInt64? {
        // Columns: the small products, scaled so that they weigh as much as the number itself.
        let scale = Int128(1) << Int128(knownBits)
        var rows: [[Int128]] = (0..<equations).map { row in
            (0...equations).map { $0 == row ? scale << 64 : 0 }
        }
        rows.append(factors[..<equations].map { Int128($0) * scale } + [1])
        var lattice = LatticeReduction(rows)
        lattice.reduce()
        let bound = UInt64(1) << UInt64(64 - knownBits)
        for row in lattice.rows {
            for number in [row[equations], -row[equations]] {
                let candidate = UInt64(truncatingIfNeeded: number)
                if candidate != 0, factors.allSatisfy({ Int64(bitPattern: $0 &* candidate).magnitude < bound }) { return candidate }
            }
        }
        return nil
    }

    /// A table that makes the same hashes over the letters that were learnt, but for a small constant.
    var table: GearTable? {
        guard let solution else { return nil }
        let own = 0 &- (solution.begin &+ solution.width / 2)
        var words = [UInt64](repeating: 0, count: 256)
        words[Int(base)] = own
        for (letter, difference) in zip(learnt.map(\.letter), solution.differences) { words[Int(letter)] = own &+ difference }
        return GearTable(words: words)
    }
}
