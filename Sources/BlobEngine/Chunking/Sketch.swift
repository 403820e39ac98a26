/// What a chunk resembles: the smallest of a hash over neighbouring candidates in it, ascending (format.md, 11.2).
///
/// A "bottom-k" sketch (Broder 1997; Cohen and Kaplan 2007): two chunks of similar size share about as many of their
/// values as they share content, also when one is a rearrangement of pieces of several others. With 48 values in
/// 256 KiB, pieces of 20 KiB and more are nearly always found (docs/adr/0002-chunk-sizes-and-deltas.md).
public struct Sketch: Hashable, Sendable, BitwiseCopyable {
    public static let valueCount = 48
    /// What a sketch takes in a list (format.md, 8.2).
    public static let byteCount = 4 * valueCount

    /// Ascending by rank, 0 behind the last: a chunk of few candidates has fewer values. The lanes from
    /// `valueCount` on stay 0.
    private var lanes = SIMD64<UInt32>.zero

    /// - Parameter values: at most `valueCount`, ascending, none of them 0.
    public init(_ values: some Sequence<UInt32>) {
        for (rank, value) in values.enumerated() {
            precondition(rank < Self.valueCount)
            lanes[rank] = value
        }
    }

    /// Reads 192 bytes as a list holds them. The pointer need not be aligned. Any bytes make a sketch; at worst
    /// one that matches nothing.
    public init(loadingFrom bytes: UnsafeRawPointer) {
        for rank in 0..<Self.valueCount {
            lanes[rank] = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * rank, as: UInt32.self))
        }
    }

    /// Writes 192 bytes. The pointer need not be aligned.
    public func store(to bytes: UnsafeMutableRawPointer) {
        for rank in 0..<Self.valueCount {
            bytes.storeBytes(of: lanes[rank].littleEndian, toByteOffset: 4 * rank, as: UInt32.self)
        }
    }

    /// The value of a rank below `valueCount`; 0 for none.
    public subscript(rank: Int) -> UInt32 {
        precondition(rank < Self.valueCount)
        return lanes[rank]
    }

    /// Matches nothing.
    public static let empty = Sketch(EmptyCollection())

    /// Whether the chunk had too few candidates, so that nothing can be said to resemble it.
    public var isEmpty: Bool { lanes[0] == 0 }
}

/// Collects the sketch of one chunk after the other.
struct SketchBuilder: Sendable {
    /// Ascending and distinct.
    private var lowest = [UInt32](repeating: 0, count: Sketch.valueCount)
    private var count = 0
    /// Above this nothing changes: nearly every candidate is turned away by one comparison.
    private var limit = UInt32.max
    /// The hash at the candidate before, within the chunk.
    private var previous: UInt64?

    @inline(__always)
    mutating func add(_ hash: UInt64) {
        if let previous {
            let value = Self.mixed(hash, after: previous)
            if value <= limit { insert(value) }
        }
        previous = hash
    }

    /// A value for two neighbouring candidates. One alone sees 64 bytes, and rows of a table have so many in common
    /// that every chunk would have the same values. Mixed so that the order of the values says nothing about the
    /// bytes; the multipliers are PRIME64_1 and PRIME64_2 of xxHash. 0 is kept free.
    @inline(__always)
    static func mixed(_ hash: UInt64, after previous: UInt64) -> UInt32 {
        var value = hash &+ previous &* 0x9E37_79B1_85EB_CA87
        value ^= value >> 32
        value = value &* 0xC2B2_AE3D_27D4_EB4F
        return max(UInt32(truncatingIfNeeded: value >> 32), 1)
    }

    private mutating func insert(_ value: UInt32) {
        var place = count
        while place > 0, lowest[place - 1] >= value { place -= 1 }
        if place < count, lowest[place] == value { return }
        if count < Sketch.valueCount { count += 1 } else if place == count { return }
        lowest.withUnsafeMutableBufferPointer { lowest in
            let base = lowest.baseAddress! + place
            (base + 1).update(from: base, count: count - 1 - place)
            base.pointee = value
        }
        if count == Sketch.valueCount { limit = lowest[count - 1] }
    }

    /// The sketch so far; the builder is empty again.
    mutating func finish() -> Sketch {
        let sketch = Sketch(lowest[..<count])
        count = 0
        limit = .max
        previous = nil
        return sketch
    }
}
