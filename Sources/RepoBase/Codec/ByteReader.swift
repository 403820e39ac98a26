/// Reads what `ByteWriter` wrote from bytes that nobody vouches for.
///
/// Every read checks its bounds and throws `damaged`, naming the object; counts and lengths are bounded by what
/// is left, so that no hostile length allocates more than the input's own size.
public struct ByteReader {
    public let object: String
    private let bytes: ArraySlice<UInt8>
    public private(set) var position: Int

    public init(_ bytes: [UInt8], object: String) {
        self.init(bytes[...], object: object)
    }

    public init(_ bytes: ArraySlice<UInt8>, object: String) {
        self.bytes = bytes
        self.object = object
        position = bytes.startIndex
    }

    public var remaining: Int { bytes.endIndex - position }
    public var isAtEnd: Bool { remaining == 0 }

    public func fail(_ why: String) -> RepoError { .damaged(object, why) }

    public mutating func raw(_ count: Int) throws(RepoError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else { throw fail("it ends early") }
        let slice = bytes[position..<position + count]
        position += count
        return slice
    }

    public mutating func u8() throws(RepoError) -> UInt8 {
        guard remaining > 0 else { throw fail("it ends early") }
        let value = bytes[position]
        position += 1
        return value
    }

    public mutating func u16() throws(RepoError) -> UInt16 { try fixed() }
    public mutating func u32() throws(RepoError) -> UInt32 { try fixed() }
    public mutating func u64() throws(RepoError) -> UInt64 { try fixed() }

    private mutating func fixed<T: FixedWidthInteger & UnsignedInteger>() throws(RepoError) -> T {
        var value: T = 0
        var shift = 0
        for byte in try raw(T.bitWidth / 8) {
            value |= T(byte) << T(shift)
            shift += 8
        }
        return value
    }

    /// Refuses more than 10 bytes, overflow, and forms longer than they need be.
    public mutating func varint() throws(RepoError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try u8()
            if shift == 63, byte > 1 { throw fail("a number is too large") }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                if byte == 0, shift > 0 { throw fail("a number is not in its shortest form") }
                return value
            }
            shift += 7
            if shift > 63 { throw fail("a number is too large") }
        }
    }

    /// A varint that must not exceed `limit`.
    public mutating func varint(atMost limit: Int, _ what: String) throws(RepoError) -> Int {
        let value = try varint()
        guard limit >= 0, value <= UInt64(limit) else { throw fail("\(what) is \(value), more than \(limit)") }
        return Int(value)
    }

    public mutating func zigzag() throws(RepoError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    public mutating func hash() throws(RepoError) -> Hash256 {
        let slice = try raw(32)
        return slice.withUnsafeBytes { Hash256(loadingFrom: $0.baseAddress!) }
    }

    /// A varint length, then that many bytes.
    public mutating func bytes(atMost limit: Int = .max) throws(RepoError) -> ArraySlice<UInt8> {
        let count = try varint(atMost: min(limit, remaining), "a length")
        return try raw(count)
    }

    public mutating func text(atMost limit: Int = 65_536) throws(RepoError) -> String {
        let slice = try bytes(atMost: limit)
        guard let text = String(validating: slice, as: UTF8.self) else { throw fail("a text is not UTF-8") }
        return text
    }

    /// A count of things that take at least `size` bytes each.
    public mutating func count(ofAtLeast size: Int, atMost limit: Int = .max) throws(RepoError) -> Int {
        let value = try varint(atMost: limit, "a count")
        guard value <= remaining / max(size, 1) else { throw fail("a count is larger than what follows") }
        return value
    }

    public func expectEnd() throws(RepoError) {
        guard isAtEnd else { throw fail("\(remaining) bytes follow its end") }
    }

    /// Calls `body` for each field; one that `body` does not know returns false. Critical tags must be known.
    public mutating func fields(
        _ body: (_ tag: UInt64, _ reader: inout ByteReader) throws(RepoError) -> Bool
    ) throws(RepoError) {
        var last: UInt64 = 0
        while !isAtEnd {
            let tag = try varint()
            guard tag >= last else { throw fail("its fields are out of order") }
            last = tag
            var inner = ByteReader(try bytes(), object: object)
            if try body(tag, &inner) {
                try inner.expectEnd()
            } else if tag < 16 {
                throw RepoError(
                    .failed, "\(object) needs a newer version of repo (field \(tag))",
                    advice: "Use the version of repo that wrote it, or a later one.")
            }
        }
    }
}
