/// Appends little-endian values to a growing array (format.md, 1).
public struct ByteWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    public var count: Int { bytes.count }

    @inlinable
    public mutating func u8(_ value: UInt8) { append(value) }

    @usableFromInline
    mutating func append(_ value: UInt8) { bytes.append(value) }

    public mutating func u16(_ value: UInt16) { fixed(value.littleEndian) }
    public mutating func u32(_ value: UInt32) { fixed(value.littleEndian) }
    public mutating func u64(_ value: UInt64) { fixed(value.littleEndian) }

    private mutating func fixed<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    public mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    public mutating func varint(_ value: Int) { varint(UInt64(value)) }

    public mutating func zigzag(_ value: Int64) {
        varint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    public mutating func hash(_ value: Hash256) { bytes.append(contentsOf: value.bytes) }

    /// The bytes alone, without a length.
    public mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

    /// A varint length, then the bytes.
    public mutating func bytes(_ value: some Collection<UInt8>) {
        varint(value.count)
        bytes.append(contentsOf: value)
    }

    public mutating func text(_ value: String) { bytes(Array(value.utf8)) }

    /// One field of format.md, 1.3.
    public mutating func field(_ tag: UInt64, _ body: (inout ByteWriter) -> Void) {
        var inner = ByteWriter()
        body(&inner)
        varint(tag)
        bytes(inner.bytes)
    }
}
