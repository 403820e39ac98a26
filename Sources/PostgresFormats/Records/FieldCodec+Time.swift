import RepoBase

/// Values that the records of this module share (format.md, 7.2 and 12.3).
extension ByteWriter {
    mutating func position(_ position: LogSequenceNumber) { varint(position.value) }
}

extension ByteReader {
    mutating func position() throws(RepoError) -> LogSequenceNumber { LogSequenceNumber(try varint()) }

    mutating func u32Varint(_ what: String) throws(RepoError) -> UInt32 { UInt32(try varint(atMost: Int(UInt32.max), what)) }
}
