import NumbersTesting
import RepoBase
import RepositoryTesting

/// What the sources of a simulation hold: small files that change in part, so that there are duplicates, deltas and garbage in every pack.
enum SimulatedContent {
    private static let names = ["a", "b", "c/d", "c/e", "f"]

    /// Files after some changes; there is always one.
    static func changed(_ files: MemoryFiles, _ numbers: inout SeededNumbers) -> MemoryFiles {
        var files = files
        for name in names {
            switch Int.random(in: 0..<8, using: &numbers) {
            case 0: files[name] = bytes(Int.random(in: 0..<20_000, using: &numbers), &numbers)
            case 1: files[name] = nil
            case 2, 3:
                guard var content = files[name], !content.isEmpty else { continue }
                for _ in 0..<2 { content[Int.random(in: 0..<content.count, using: &numbers)] ^= 0xff }
                files[name] = content
            case 4:
                // What another file holds, too.
                if let other = files.min(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }) { files[name] = other.value }
            default: continue
            }
        }
        if files.isEmpty { files["a"] = bytes(6_000, &numbers) }
        return files
    }

    static func bytes(_ count: Int, _ numbers: inout SeededNumbers) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var number: UInt64 = 0
            for index in 0..<count {
                if index % 8 == 0 { number = numbers.next() }
                buffer[index] = UInt8(truncatingIfNeeded: number)
                number >>= 8
            }
            filled = count
        }
    }

    /// A file of the log.
    static func log(_ seed: UInt64) -> AlignedBuffer {
        var numbers = SeededNumbers(seed: seed)
        let bytes = bytes(300, &numbers)
        let buffer = AlignedBuffer(capacity: bytes.count)
        bytes.withUnsafeBytes { buffer.base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        buffer.count = bytes.count
        return buffer
    }
}
