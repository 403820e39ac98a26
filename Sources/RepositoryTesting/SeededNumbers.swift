package import NumbersTesting

package typealias SeededNumbers = NumbersTesting.SeededNumbers
/// Files of a snapshot by their paths, such as `c/d`.
package typealias MemoryFiles = [String: [UInt8]]

extension SeededNumbers {
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
