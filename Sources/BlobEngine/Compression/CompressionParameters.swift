internal import CZstd

/// What zstd is told: a level of its own, or parameters measured for this work
/// (docs/adr/0002-chunk-sizes-and-deltas.md).
enum CompressionParameters {
    case level(Int32)
    case tuned(strategy: ZSTD_strategy, hashLog: Int32, minMatch: Int32)

    /// For blobs alone. Level 1 is ours: with a hash table that stays in the first-level cache, dumps come out both
    /// smaller and faster than by zstd's own levels 1 and 3.
    static func alone(level: Int32) -> CompressionParameters {
        level == 1 ? .tuned(strategy: ZSTD_fast, hashLog: 14, minMatch: 6) : .level(level)
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
