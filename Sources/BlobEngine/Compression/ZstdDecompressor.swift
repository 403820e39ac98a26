internal import CZstd
internal import RepoBase

/// One decompression context of libzstd, used again and again. It decodes straight into the caller's buffer, so a
/// hostile frame costs no memory beyond the fixed context. Not thread-safe.
final class ZstdDecompressor {
    private let context: OpaquePointer

    /// Traps when there is no memory for the context.
    init() {
        guard let context = ZSTD_createDCtx() else { fatalError("out of memory for a zstd context") }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Decodes one frame into exactly `out.count` bytes. Throws `damaged` about `object` for anything that is not
    /// one frame of this length from end to end; the content of `out` is unspecified then.
    func decompress(
        _ frame: UnsafeRawBufferPointer, prefix: UnsafeRawBufferPointer,
        into out: UnsafeMutableRawBufferPointer, object: String
    ) throws(RepoError) {
        try checkHeader(frame, rawLength: out.count, object: object)
        if !prefix.isEmpty {
            let status = ZSTD_DCtx_refPrefix(context, prefix.baseAddress, prefix.count)
            guard ZSTD_isError(status) == 0 else {
                throw RepoError(.failed, "cannot decompress \(object): \(Self.name(status))")
            }
        }
        let status = ZSTD_decompressDCtx(context, out.baseAddress, out.count, frame.baseAddress, frame.count)
        guard ZSTD_isError(status) == 0 else {
            _ = ZSTD_DCtx_reset(context, ZSTD_reset_session_and_parameters)
            throw .damaged(object, "its compressed data does not decode: \(Self.name(status))")
        }
        guard status == out.count else {
            throw .damaged(object, "it decodes to \(status) bytes instead of \(out.count)")
        }
    }

    /// The frame's own claims (RFC 8878, 3.1.1.1), before anything is done about them (format.md, 5.3).
    private func checkHeader(
        _ frame: UnsafeRawBufferPointer, rawLength: Int, object: String
    ) throws(RepoError) {
        var header = ZSTD_frameHeader()
        let status = ZSTD_getFrameHeader(&header, frame.baseAddress, frame.count)
        guard status == 0, header.frameType == ZSTD_frame else {
            throw .damaged(object, "its compressed data has no valid zstd frame header")
        }
        guard header.frameContentSize == UInt64(rawLength) else {
            throw .damaged(object, "its frame declares another length than the \(rawLength) bytes recorded")
        }
        guard header.windowSize <= max(UInt64(rawLength) * 2, 1024) else {
            throw .damaged(object, "its frame asks for a window of \(header.windowSize) bytes")
        }
        guard header.dictID == 0 else {
            throw .damaged(object, "its frame asks for dictionary \(header.dictID)")
        }
        let length = ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count)
        guard ZSTD_isError(length) == 0, length == frame.count else {
            throw .damaged(object, "its compressed data is not exactly one frame")
        }
    }

    private static func name(_ status: Int) -> String { String(cString: ZSTD_getErrorName(status)) }
}
