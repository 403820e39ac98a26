internal import CZstd
internal import RepoBase

/// One compression context of libzstd, used again and again: it keeps its tables, so a call allocates only when it
/// needs larger ones than any before. Not thread-safe.
final class ZstdCompressor {
    private let context: OpaquePointer

    /// Traps when there is no memory for the context.
    init() {
        guard let context = ZSTD_createCCtx() else { fatalError("out of memory for a zstd context") }
        self.context = context
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Compresses into one frame with its content size and without a checksum (sealing authenticates it already).
    /// Nil when it does not fit `out`.
    ///
    /// - Parameter prefix: what the frame may refer back to; empty for none.
    func compress(
        _ raw: UnsafeRawBufferPointer, prefix: UnsafeRawBufferPointer, parameters: CompressionParameters,
        into out: UnsafeMutableRawBufferPointer
    ) throws(RepoError) -> Int? {
        try check(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters))
        switch parameters {
        case .level(let level):
            try set(ZSTD_c_compressionLevel, level)
        case .tuned(let strategy, let hashLog, let minMatch):
            try set(ZSTD_c_strategy, Int32(strategy.rawValue))
            try set(ZSTD_c_hashLog, hashLog)
            try set(ZSTD_c_chainLog, hashLog)
            try set(ZSTD_c_minMatch, minMatch)
            try set(ZSTD_c_searchLog, 1)
            // Otherwise this and other fields would come from the default level; 0 means that literals are coded.
            try set(ZSTD_c_targetLength, 0)
        }
        if !prefix.isEmpty {
            try set(ZSTD_c_windowLog, Self.windowLog(prefix.count + raw.count))
            try check(ZSTD_CCtx_refPrefix(context, prefix.baseAddress, prefix.count))
        }
        let status = ZSTD_compress2(context, out.baseAddress, out.count, raw.baseAddress, raw.count)
        if ZSTD_isError(status) != 0, ZSTD_getErrorCode(status) == ZSTD_error_dstSize_tooSmall { return nil }
        try check(status)
        return status
    }

    /// The smallest window over `count` bytes; zstd accepts 2^10 and up.
    private static func windowLog(_ count: Int) -> Int32 {
        Int32(max(10, Int.bitWidth - max(count - 1, 1).leadingZeroBitCount))
    }

    private func set(_ parameter: ZSTD_cParameter, _ value: Int32) throws(RepoError) {
        try check(ZSTD_CCtx_setParameter(context, parameter, value))
    }

    private func check(_ status: Int) throws(RepoError) {
        guard ZSTD_isError(status) == 0 else {
            throw RepoError(
                .failed, "cannot compress: zstd says \(String(cString: ZSTD_getErrorName(status)))",
                advice: "The machine may be out of memory.")
        }
    }
}
