public import RepoBase

/// Encodes blobs (plain, zstd or delta: format.md, 5.3) and decodes them again. One for each thread: it owns the
/// contexts and the room for bases, and allocates nothing in a call once these have grown.
public final class BlobCoder {
    /// The most a blob may hold (format.md, 1).
    public static let maximumRawLength = 16 << 20
    /// The most bases of a delta (format.md, 5.2).
    public static let maximumBaseCount = 8
    public static let levels: ClosedRange<Int32> = 1...19
    /// Chosen in docs/adr/0002-chunk-sizes-and-deltas.md.
    public static let defaultLevel: Int32 = 1

    private let level: Int32
    private let compressor = ZstdCompressor()
    /// A context of its own, as a change of table sizes between calls costs time.
    private let deltaCompressor = ZstdCompressor()
    private let decompressor = ZstdDecompressor()
    /// The bases of a delta in one piece; grows to what was needed most, at most 8 blobs.
    private var bases = AlignedBuffer(capacity: 4096)

    /// - Parameter level: 1 (fastest) to 19; values outside are clamped.
    public init(level: Int32 = defaultLevel) {
        self.level = min(max(level, Self.levels.lowerBound), Self.levels.upperBound)
    }

    /// Writes the shorter encoding to `out`, which needs no more room than `raw.count` bytes.
    ///
    /// Answers `.plain` and 0, with `out` unspecified, when compression saves less than 2 %: the caller then stores
    /// `raw` itself. A delta is chosen when it saves a quarter against compression alone, as it costs a read of its
    /// bases whenever it is read. Throws `failed` when memory runs out.
    ///
    /// - Parameter bases: at most 8 plaintexts in the order of the directory; best put last.
    public func encode(
        _ raw: UnsafeRawBufferPointer, bases: [UnsafeRawBufferPointer],
        into out: UnsafeMutableRawBufferPointer
    ) throws(RepoError) -> (encoding: BlobEncoding, count: Int) {
        precondition(raw.count <= Self.maximumRawLength && bases.count <= Self.maximumBaseCount)
        let worthwhile = min(out.count, raw.count - raw.count / 50 - 1)
        guard worthwhile > 0 else { return (.plain, 0) }
        let room = UnsafeMutableRawBufferPointer(rebasing: out[..<worthwhile])
        if let delta = try compressDelta(raw, bases: bases, into: room) {
            // Hardly anything compresses to a thirty-second on its own: no need to try.
            if delta <= raw.count / 32 { return (.delta, delta) }
            // Compression alone must do it in a third more, or the delta stands. It writes behind the delta.
            let limit = delta + delta / 3
            let behind = UnsafeMutableRawBufferPointer(
                rebasing: room[delta..<min(room.count, delta + limit)])
            let alone = try compressor.compress(
                raw, prefix: Self.noPrefix, parameters: .alone(level: 1, raw: raw), into: behind)
            guard let alone else {
                // A delta of more than three sevenths leaves too little room to tell: both are poor.
                if behind.count == limit { return (.delta, delta) }
                return try encodeAlone(raw, into: room)
            }
            if level == 1 {
                room.baseAddress!.copyMemory(from: behind.baseAddress!, byteCount: alone)
                return (.zstd, alone)
            }
        }
        return try encodeAlone(raw, into: room)
    }

    private func encodeAlone(
        _ raw: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
    ) throws(RepoError) -> (encoding: BlobEncoding, count: Int) {
        let parameters = try CompressionParameters.alone(
            level: effectiveLevel(raw, scratch: room), raw: raw)
        let count = try compressor.compress(raw, prefix: Self.noPrefix, parameters: parameters, into: room)
        return count.map { (.zstd, $0) } ?? (.plain, 0)
    }

    /// What a delta against `bases` would take, without comparing it with compression alone: half of what `encode` costs. Nil without bases,
    /// and when it needs more than `scratch` or saves nothing. Throws `failed` when memory runs out.
    public func deltaLength(
        _ raw: UnsafeRawBufferPointer, bases: [UnsafeRawBufferPointer], scratch: UnsafeMutableRawBufferPointer
    ) throws(RepoError) -> Int? {
        precondition(raw.count <= Self.maximumRawLength && bases.count <= Self.maximumBaseCount)
        let room = min(scratch.count, raw.count)
        return try compressDelta(raw, bases: bases, into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<room]))
    }

    /// The length of the delta; nil without bases, and when it does not fit.
    private func compressDelta(
        _ raw: UnsafeRawBufferPointer, bases: [UnsafeRawBufferPointer],
        into room: UnsafeMutableRawBufferPointer
    ) throws(RepoError) -> Int? {
        let prefix = joined(bases)
        guard !prefix.isEmpty else { return nil }
        return try deltaCompressor.compress(
            raw, prefix: prefix,
            parameters: .delta(level: level, totalLength: prefix.count + raw.count), into: room)
    }

    private static var noPrefix: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    /// The bases in one piece: copied, unless there is only one.
    private func joined(_ parts: [UnsafeRawBufferPointer]) -> UnsafeRawBufferPointer {
        if parts.count <= 1 { return parts.first ?? Self.noPrefix }
        let total = parts.reduce(0) { $0 + $1.count }
        if bases.capacity < total { bases = AlignedBuffer(capacity: total) }
        bases.count = 0
        for part in parts {
            guard let start = part.baseAddress else { continue }
            (bases.base + bases.count).copyMemory(from: start, byteCount: part.count)
            bases.count += part.count
        }
        return bases.bytes
    }

    /// Level 1 for data that samples show to be incompressible: higher levels would spend their time for nothing,
    /// while level 1 skips quickly through it, and still finds what the samples missed.
    private func effectiveLevel(
        _ raw: UnsafeRawBufferPointer, scratch: UnsafeMutableRawBufferPointer
    ) throws(RepoError) -> Int32 {
        let sample = 4096
        guard level > 1, raw.count >= 16 * sample else { return level }
        for part in 0..<4 {
            let start = (raw.count - sample) / 3 * part
            let bytes = UnsafeRawBufferPointer(rebasing: raw[start..<(start + sample)])
            let room = UnsafeMutableRawBufferPointer(rebasing: scratch[..<(sample - sample / 32)])
            let count = try compressor.compress(
                bytes, prefix: Self.noPrefix, parameters: .alone(level: 1, raw: bytes),
                into: room)
            if count != nil { return level }
        }
        return 1
    }

    /// Restores exactly `rawLength` bytes to `out`. Throws `damaged` about `object` when `encoded` is not an encoding
    /// of so many bytes; nothing is allocated that depends on what the frame claims.
    ///
    /// A delta against other bases than those it was made with yields an error or *wrong bytes*: only the blob's id
    /// tells, and the caller must compare it.
    ///
    /// - Parameter out: room for `rawLength` bytes that does not overlap the bases.
    public func decode(
        _ encoded: UnsafeRawBufferPointer, encoding: BlobEncoding, rawLength: Int,
        bases: [UnsafeRawBufferPointer], into out: UnsafeMutableRawPointer, object: String
    ) throws(RepoError) {
        guard rawLength >= 0, rawLength <= Self.maximumRawLength else {
            throw .damaged(object, "its length of \(rawLength) bytes is above the limit of 16 MiB")
        }
        guard encoding == .delta ? !bases.isEmpty && bases.count <= Self.maximumBaseCount : bases.isEmpty
        else {
            throw .damaged(object, "it has \(bases.count) bases, which does not fit its encoding")
        }
        let target = UnsafeMutableRawBufferPointer(start: out, count: rawLength)
        if encoding == .plain {
            guard encoded.count == rawLength else {
                throw .damaged(object, "it holds \(encoded.count) bytes instead of \(rawLength)")
            }
            target.copyMemory(from: encoded)
            return
        }
        for base in bases where base.count > Self.maximumRawLength {
            throw .damaged(object, "one of its bases is longer than the limit of 16 MiB")
        }
        try decompressor.decompress(encoded, prefix: joined(bases), into: target, object: object)
    }
}
