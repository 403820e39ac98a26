/// What a chunk resembles: the smallest of a hash over the candidates in it, ascending (format.md, 11.2).
///
/// A "bottom-k" sketch (Broder 1997; Cohen and Kaplan 2007): two chunks of similar size share about as many of their
/// values as they share content, also when one is a rearrangement of pieces of several others.
public struct Sketch: Hashable, Sendable, BitwiseCopyable {
    public static let valueCount = 32

    /// Ascending by rank, 0 behind the last: a chunk of few candidates has fewer values.
    public var values: SIMD32<UInt32>

    public init(values: SIMD32<UInt32>) { self.values = values }

    /// Matches nothing.
    public static let empty = Sketch(values: .zero)

    /// Whether the chunk had no candidate, so that nothing can be said to resemble it.
    public var isEmpty: Bool { values[0] == 0 }
}

/// Collects the sketch of one chunk after the other.
struct SketchBuilder: Sendable {
    /// Ascending and distinct.
    private var lowest = [UInt32](repeating: 0, count: Sketch.valueCount)
    private var count = 0
    /// Above this nothing changes: nearly every candidate is turned away by one comparison.
    private var limit = UInt32.max

    @inline(__always)
    mutating func add(_ hash: UInt64) {
        let value = Self.mixed(hash)
        if value <= limit { insert(value) }
    }

    /// Bits 8 to 39 of the hash, which depend on the last 40 bytes, mixed so that the order of the values says
    /// nothing about the bytes. The multipliers are PRIME32_1 and PRIME32_2 of xxHash. 0 is kept free.
    @inline(__always)
    static func mixed(_ hash: UInt64) -> UInt32 {
        var value = UInt32(truncatingIfNeeded: hash >> 8) &* 0x9E37_79B1
        value ^= value >> 15
        value = value &* 0x85EB_CA77
        return max(value, 1)
    }

    private mutating func insert(_ value: UInt32) {
        var place = count
        while place > 0, lowest[place - 1] >= value { place -= 1 }
        if place < count, lowest[place] == value { return }
        if count < Sketch.valueCount { count += 1 } else if place == count { return }
        var index = count - 1
        while index > place {
            lowest[index] = lowest[index - 1]
            index -= 1
        }
        lowest[place] = value
        if count == Sketch.valueCount { limit = lowest[count - 1] }
    }

    /// The sketch so far; the builder is empty again.
    mutating func finish() -> Sketch {
        var values = SIMD32<UInt32>.zero
        for index in 0..<count { values[index] = lowest[index] }
        count = 0
        limit = .max
        return Sketch(values: values)
    }
}
