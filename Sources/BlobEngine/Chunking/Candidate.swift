/// A position where the sampled bits of the rolling hash are zero: where a cut may be, and what sketches see.
public struct Candidate: Hashable, Sendable, BitwiseCopyable {
    /// Bytes from the start of the scanned segment up to and including the byte that made the hash.
    public var position: UInt32
    /// All 64 bits of the hash there.
    public var hash: UInt64

    @inlinable
    public init(position: UInt32, hash: UInt64) {
        self.position = position
        self.hash = hash
    }
}

/// Room for the candidates of one segment, kept and used again from segment to segment.
///
/// About 1 byte in 128 is a candidate; hostile content can make every byte one, so the bound is 16 bytes of memory
/// for each byte of the segment.
public struct CandidateBuffer: Sendable {
    private var storage: [Candidate] = []
    public private(set) var count = 0

    public init() {}

    /// Forgets the candidates and keeps the memory.
    public mutating func removeAll() { count = 0 }

    /// The candidates by ascending position.
    public func withCandidates<Result>(
        _ body: (UnsafeBufferPointer<Candidate>) throws -> Result
    ) rethrows -> Result {
        try storage.withUnsafeBufferPointer { try body(UnsafeBufferPointer(rebasing: $0[..<count])) }
    }

    public subscript(index: Int) -> Candidate {
        precondition(index < count)
        return storage[index]
    }

    /// Lets `fill` write up to `room` candidates behind the present ones; it returns how many it wrote.
    mutating func append(room: Int, _ fill: (UnsafeMutablePointer<Candidate>) -> Int) {
        let needed = count + room
        if storage.count < needed {
            storage += repeatElement(
                Candidate(position: 0, hash: 0), count: max(needed - storage.count, storage.count))
        }
        let present = count
        count += storage.withUnsafeMutableBufferPointer { fill($0.baseAddress! + present) }
    }
}
