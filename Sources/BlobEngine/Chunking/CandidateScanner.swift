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

    /// A block is four quarters, hashed alternately: one byte's hash waits for the one before, so a single chain leaves most of the
    /// processor idle. Measured on Zen 4: two chains 2.9 GB/s, four 4.8. Large enough that warming up the three costs 1 %.
    private static let quarterBlock = 4096
    private static let block = 4 * quarterBlock

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
                if count - done >= block {
                    buffer.append(room: block) { out in
                        scanQuarters(gear, base + done, from: done, &hash, out)
                    }
                    done += block
                } else {
                    let rest = min(count - done, quarterBlock)
                    buffer.append(room: rest) { out in
                        scanOne(gear, base, from: done, count: rest, &hash, out)
                    }
                    done += rest
                }
            }
        }
    }

    /// Whether a chunk that ends before `end` may have that length: a cut is there for its last bytes, or it is as long as any. Tells nothing of
    /// earlier places. At least `window` bytes must stand before `end`.
    public static func mayEnd(
        _ table: GearTable, _ profile: ChunkProfile, before end: UnsafePointer<UInt8>, length: Int
    ) -> Bool {
        if length == profile.maximum { return true }
        return table.words.withUnsafeBufferPointer { words in
            profile.isCut(warmed(words.baseAddress!, end - window, window), length: length, table.cutKey)
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

    /// The four quarters of one block. Each writes its candidates a quarter further on in `out`, from where they move up: there are few.
    private static func scanQuarters(
        _ gear: UnsafePointer<UInt64>, _ base: UnsafePointer<UInt8>, from start: Int,
        _ hash: inout UInt64, _ out: UnsafeMutablePointer<Candidate>
    ) -> Int {
        let size = quarterBlock
        func warm(_ quarter: Int) -> UInt64 { warmed(gear, base + quarter &* size - (window - 1), window - 1) }
        var h0 = hash
        var h1 = warm(1)
        var h2 = warm(2)
        var h3 = warm(3)
        var end0 = out
        var end1 = out + size
        var end2 = out + 2 &* size
        var end3 = out + 3 &* size
        var index = 0
        while index < size {
            for step in 0..<4 {
                let at = index &+ step
                advance(&h0, gear, base, at, start, &end0)
                advance(&h1, gear, base, at &+ size, start, &end1)
                advance(&h2, gear, base, at &+ 2 &* size, start, &end2)
                advance(&h3, gear, base, at &+ 3 &* size, start, &end3)
            }
            index &+= 4
        }
        hash = h3
        var found = end0
        for (quarter, end) in [(1, end1), (2, end2), (3, end3)] {
            let first = out + quarter &* size
            found.update(from: first, count: end - first)
            found += end - first
        }
        return found - out
    }

    @inline(__always)
    private static func advance(
        _ hash: inout UInt64, _ gear: UnsafePointer<UInt64>, _ base: UnsafePointer<UInt8>, _ at: Int, _ start: Int,
        _ end: inout UnsafeMutablePointer<Candidate>
    ) {
        hash = hash &<< 1 &+ gear[Int(base[at])]
        if _slowPath(hash < threshold) {
            end.pointee = Candidate(position: UInt32(truncatingIfNeeded: start &+ at &+ 1), hash: hash)
            end += 1
        }
    }

    @inline(__always)
    private static func note(
        _ hash: UInt64, _ index: Int, _ out: UnsafeMutablePointer<Candidate>, _ found: inout Int
    ) {
        out[found] = Candidate(position: UInt32(truncatingIfNeeded: index &+ 1), hash: hash)
        found &+= 1
    }
}
