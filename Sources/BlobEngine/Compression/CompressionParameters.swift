internal import CZstd

/// What zstd is told: a level of its own, or parameters measured for this work
/// (docs/adr/0002-chunk-sizes-and-deltas.md).
enum CompressionParameters {
    case level(Int32)
    case tuned(strategy: ZSTD_strategy, hashLog: Int32, minMatch: Int32)

    /// For blobs alone. Level 1 is ours: with a hash table that stays in the first-level cache, dumps come out both
    /// smaller and faster than by zstd's own levels 1 and 3. The shortest match decides: 6 bytes suit text, where
    /// shorter ones cost more than they save; pages of rows and programs are full of matches of 5.
    static func alone(level: Int32, raw: UnsafeRawBufferPointer) -> CompressionParameters {
        guard level == 1 else { return .level(level) }
        return .tuned(strategy: ZSTD_fast, hashLog: 14, minMatch: isText(raw) ? 6 : 5)
    }

    /// Whether samples are free of zero bytes, which text never has and pages and programs have everywhere.
    private static func isText(_ raw: UnsafeRawBufferPointer) -> Bool {
        let sample = 128
        guard raw.count > 8 * sample else { return !raw.contains(0) }
        return (0..<8).allSatisfy { part in
            let start = (raw.count - sample) / 7 * part
            return !raw[start..<(start + sample)].contains(0)
        }
    }

    /// For deltas. A table that holds all of the bases matters more than how well it is searched: one level of
    /// zstd's own has a small one and loses the older half of the prefix.
    static func delta(level: Int32, totalLength: Int) -> CompressionParameters {
        if level > 9 { return .level(level) }
        let log = Int32(Int.bitWidth - max(totalLength - 1, 1).leadingZeroBitCount)
        // The fast strategy enters every third position of the prefix.
        return level < 3
            ? .tuned(strategy: ZSTD_fast, hashLog: min(max(log - 2, 12), 20), minMatch: 6)
            : .tuned(strategy: ZSTD_dfast, hashLog: min(max(log - 2, 12), 20), minMatch: 6)
    }
}
