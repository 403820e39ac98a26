/// Runs the rolling hash over bytes and notes the candidates (format.md, 11.1): the only pass of chunking that
/// touches every byte.
///
/// Segments of one content may be scanned on several threads at once: given the bytes before it, each yields what a
/// scan of the whole would have found there.
public enum CandidateScanner {
    /// How many of the hash's top bits are zero at a candidate.
    public static let sampleBits = 7
    /// How many bytes the hash depends on: the older ones have been shifted out of its 64 bits.
    public static let window = 64

    static let threshold: UInt64 = 1 << (64 - UInt64(sampleBits))

    /// A block is two halves, hashed alternately: one byte's hash waits for the one before, so a single chain
    /// leaves most of the processor idle. Large enough that warming up the second half costs 1 %.
    private static let halfBlock = 8192

    /// Appends the candidates of `base[0..<count]` to `buffer`, positions counted from `base`.
    ///
    /// - Parameter before: how many bytes of the same content stand in memory before `base`: 63 or more, or
    ///   fewer only when the content begins there. At most 63 are read.
    public static func scan(
        _ table: GearTable, base: UnsafePointer<UInt8>, count: Int, before: Int,
        into buffer: inout CandidateBuffer
    ) {
        precondition(count <= Int(UInt32.max))
        table.words.withUnsafeBufferPointer { words in
            let gear = words.baseAddress!
            let warm = min(before, window - 1)
            var hash = warmed(gear, base - warm, warm)
            var done = 0
            while done < count {
                if count - done >= 2 * halfBlock {
                    buffer.append(room: 2 * halfBlock) { out in
                        scanHalves(gear, base, from: done, &hash, out)
                    }
                    done += 2 * halfBlock
                } else {
                    let rest = min(count - done, halfBlock)
                    buffer.append(room: rest) { out in
                        scanOne(gear, base, from: done, count: rest, &hash, out)
                    }
                    done += rest
                }
            }
        }
    }

    /// The hash after `count` bytes.
    private static func warmed(
        _ gear: UnsafePointer<UInt64>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> UInt64 {
        var hash: UInt64 = 0
        for index in 0..<count { hash = hash &<< 1 &+ gear[Int(bytes[index])] }
        return hash
    }

    private static func scanOne(
        _ gear: UnsafePointer<UInt64>, _ base: UnsafePointer<UInt8>, from start: Int, count: Int,
        _ hash: inout UInt64, _ out: UnsafeMutablePointer<Candidate>
    ) -> Int {
        var h = hash
        var found = 0
        for index in start..<(start &+ count) {
            h = h &<< 1 &+ gear[Int(base[index])]
            if h < threshold { note(h, index, out, &found) }
        }
        hash = h
        return found
    }

    /// Both halves of one block. The second writes its candidates half a block further on in `out`, from where they
    /// move up to the first's: there are few.
    private static func scanHalves(
        _ gear: UnsafePointer<UInt64>, _ base: UnsafePointer<UInt8>, from start: Int,
        _ hash: inout UInt64, _ out: UnsafeMutablePointer<Candidate>
    ) -> Int {
        let middle = start &+ halfBlock
        let secondOut = out + halfBlock
        var first = hash
        var second = warmed(gear, base + middle - (window - 1), window - 1)
        var foundFirst = 0
        var foundSecond = 0
        var index = start
        while index < middle {
            for step in 0..<4 {
                let a = index &+ step
                first = first &<< 1 &+ gear[Int(base[a])]
                if _slowPath(first < threshold) { note(first, a, out, &foundFirst) }
                let b = a &+ halfBlock
                second = second &<< 1 &+ gear[Int(base[b])]
                if _slowPath(second < threshold) { note(second, b, secondOut, &foundSecond) }
            }
            index &+= 4
        }
        hash = second
        (out + foundFirst).update(from: secondOut, count: foundSecond)
        return foundFirst + foundSecond
    }

    @inline(__always)
    private static func note(
        _ hash: UInt64, _ index: Int, _ out: UnsafeMutablePointer<Candidate>, _ found: inout Int
    ) {
        out[found] = Candidate(position: UInt32(truncatingIfNeeded: index &+ 1), hash: hash)
        found &+= 1
    }
}
