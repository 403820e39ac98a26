/// Files of a snapshot by their paths, such as `c/d`.
package typealias MemoryFiles = [String: [UInt8]]

/// SplitMix64 (Steele, Lea and Flood, 2014): the same seed gives the same history.
package struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// A tree after some changes: files rewritten in part, so that deltas pay, added, or gone.
    package mutating func changed(_ files: MemoryFiles) -> MemoryFiles {
        var files = files
        let names = ["a", "b", "c/d", "c/e", "c/f/g", "h"]
        for name in names {
            switch Int.random(in: 0..<6, using: &self) {
            case 0: files[name] = bytes(Int.random(in: 0..<40_000, using: &self))
            case 1: files[name] = nil
            case 2, 3:
                guard var content = files[name], !content.isEmpty else { continue }
                for _ in 0..<3 { content[Int.random(in: 0..<content.count, using: &self)] ^= 0xff }
                files[name] = content
            default: continue
            }
        }
        if files.isEmpty { files["a"] = bytes(100) }
        return files
    }
}
