internal import CB2

/// The 256 random words of the rolling hash, derived from the repository's chunker secret (format.md, 11.1).
///
/// Without the secret nobody can make content that defeats the cuts. It alone does not keep lengths of chunks from telling which known content they
/// hold: see `CutKey`.
public struct GearTable: Sendable {
    /// 256 words, 2 KiB: stays in the first-level cache.
    let words: [UInt64]
    /// From the same secret: for profiles whose cuts are decided by it.
    public let cutKey: CutKey

    /// - Parameter chunkerSecret: 32 bytes; more than 64 trap, as BLAKE2b takes no longer key.
    public init(chunkerSecret: [UInt8]) { self.init(chunkerSecret: SecretBytes(chunkerSecret)) }

    public init(chunkerSecret: SecretBytes) {
        words = (0...255).map { index in
            Self.avoidingRuns(Self.word(UInt8(index), secret: chunkerSecret))
        }
        cutKey = CutKey(chunkerSecret: chunkerSecret)
    }

    /// For tests: a table that somebody has worked out, without the key of the decision.
    init(words: [UInt64]) {
        precondition(words.count == 256)
        self.words = words
        cutKey = CutKey(chunkerSecret: SecretBytes([0]))
    }

    /// The first 8 bytes of `keyed(chunker secret, "repo gear v1" ‖ index)`.
    private static func word(_ index: UInt8, secret: SecretBytes) -> UInt64 {
        let message = Array("repo gear v1".utf8) + [index]
        var digest = [UInt8](repeating: 0, count: 32)
        let status = secret.withUnsafeBytes { blake2b(&digest, message, $0.baseAddress, digest.count, message.count, $0.count) }
        precondition(status == 0, "BLAKE2b refused a chunker secret of \(secret.count) bytes")
        return digest.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    }

    /// In a run of one byte the hash settles at minus its word. Were that a candidate, every byte of the run
    /// would be one, and runs (of zeros, of spaces) are common; flipping the top bit moves it out of the way.
    private static func avoidingRuns(_ word: UInt64) -> UInt64 {
        (0 &- word) < CandidateScanner.threshold ? word ^ (1 << 63) : word
    }
}
