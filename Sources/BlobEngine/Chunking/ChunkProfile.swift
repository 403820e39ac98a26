public import RepoBase

/// The sizes of content-defined chunks, in bytes, as config records them (format.md, 3 and 11.1).
///
/// Below `normal` a cut needs more zero bits (`strictBits`) than above (`looseBits`), which draws sizes towards
/// `normal`: the normalised chunking of FastCDC (Xia and others, USENIX ATC 2016).
public struct ChunkProfile: Hashable, Sendable {
    public let minimum: Int
    public let normal: Int
    public let maximum: Int
    public let strictBits: Int
    public let looseBits: Int
    public let decision: CutDecision

    /// For streams and files; the sizes are chosen in docs/adr/0002-chunk-sizes-and-deltas.md.
    public static let stream = ChunkProfile(
        unchecked: 64 << 10, normal: 256 << 10, maximum: 512 << 10, strictBits: 18, looseBits: 16, decision: .keyedHash)

    /// Throws `damaged` for sizes that cannot work: a minimum below 4 KiB, sizes that do not ascend, a maximum
    /// above the 16 MiB that a blob may have, fewer loose bits than candidates have.
    public init(
        minimum: Int, normal: Int, maximum: Int, strictBits: Int, looseBits: Int, decision: CutDecision = .rollingHash
    ) throws(RepoError) {
        guard minimum >= 4096, minimum <= normal, normal <= maximum, maximum <= BlobCoder.maximumRawLength,
            looseBits >= CandidateScanner.sampleBits, looseBits <= strictBits, strictBits <= 48
        else {
            throw .damaged(
                "config",
                "its chunk sizes \(minimum), \(normal), \(maximum) with \(strictBits) and \(looseBits) bits are "
                    + "out of range")
        }
        self.init(
            unchecked: minimum, normal: normal, maximum: maximum, strictBits: strictBits, looseBits: looseBits, decision: decision)
    }

    private init(unchecked minimum: Int, normal: Int, maximum: Int, strictBits: Int, looseBits: Int, decision: CutDecision) {
        self.minimum = minimum
        self.normal = normal
        self.maximum = maximum
        self.strictBits = strictBits
        self.looseBits = looseBits
        self.decision = decision
    }

    /// Whether a candidate ends a chunk that is `length` bytes long with it.
    @inline(__always)
    func isCut(_ hash: UInt64, length: Int, _ key: CutKey) -> Bool {
        guard length >= minimum else { return false }
        let bits = length < normal ? strictBits : looseBits
        switch decision {
        case .rollingHash: return hash.leadingZeroBitCount >= bits
        // Its first bits made it a candidate.
        case .keyedHash:
            return hash.leadingZeroBitCount >= CandidateScanner.sampleBits && key.hash(hash).leadingZeroBitCount >= bits - CandidateScanner.sampleBits
        }
    }
}

/// What decides whether a candidate is a cut (format.md, 11.1).
public enum CutDecision: Hashable, Sendable {
    /// The bits of the rolling hash: repositories of the first programs.
    case rollingHash
    /// A keyed function of it (`CutKey`).
    case keyedHash
}

/// Fixed chunks from offset 0 for files that change in place, such as database relations (format.md, 11.3).
public struct PageProfile: Hashable, Sendable {
    /// In bytes: a multiple of the page sizes of databases (at most 64 KiB).
    public let chunkSize: Int

    /// Chosen in docs/adr/0002-chunk-sizes-and-deltas.md.
    public static let relation = PageProfile(unchecked: 256 << 10)

    /// Throws `damaged` unless the size is a multiple of 4 KiB and at most 16 MiB.
    public init(chunkSize: Int) throws(RepoError) {
        guard chunkSize >= 4096, chunkSize % 4096 == 0, chunkSize <= BlobCoder.maximumRawLength else {
            throw .damaged("config", "its page-aligned chunk size \(chunkSize) is out of range")
        }
        self.init(unchecked: chunkSize)
    }

    private init(unchecked chunkSize: Int) { self.chunkSize = chunkSize }
}
