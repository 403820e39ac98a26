/// Reads fields of an archive of pg_dump (`ReadInt`, `ReadStr`, bin/pg_dump/pg_backup_archiver.c).
struct DumpFieldReader {
    enum Failure: Error {
        /// The bytes at hand end before the field does.
        case short
        case damaged(String)
        /// A version of the format.
        case unknown(String)
    }

    private let bytes: ArraySlice<UInt8>
    let object: String
    private(set) var position: Int
    /// Once the header was read.
    var layout: DumpLayout?
    /// Once the encoding was, where it is not UTF-8.
    var texts: DumpTexts?

    init(_ bytes: ArraySlice<UInt8>, object: String) {
        (self.bytes, self.object) = (bytes, object)
        position = bytes.startIndex
    }

    mutating func raw(_ count: Int) throws(Failure) -> ArraySlice<UInt8> {
        guard bytes.endIndex - position >= count else { throw .short }
        defer { position += count }
        return bytes[position..<position + count]
    }

    mutating func skip(_ count: Int) throws(Failure) { _ = try raw(count) }

    mutating func byte() throws(Failure) -> UInt8 { try raw(1).first! }

    /// A sign, then the number, its lowest byte first.
    mutating func integer() throws(Failure) -> Int32 {
        let isNegative = try byte() != 0
        var value: UInt64 = 0
        for (place, byte) in try raw(layout?.integerSize ?? 4).enumerated() { value |= UInt64(byte) << UInt64(8 * place) }
        guard value <= UInt64(Int32.max) else { throw .damaged("a number is \(value)") }
        return isNegative ? -Int32(value) : Int32(value)
    }

    /// A length, -1 for none at all, then the bytes.
    mutating func text() throws(Failure) -> String? {
        let length = try integer()
        if length < 0 { return nil }
        guard Int(length) < DumpContents.sizeLimit else { throw .damaged("a text has \(length) bytes") }
        return decode(try raw(Int(length)))
    }

    func decode(_ text: ArraySlice<UInt8>) -> String {
        if let texts, text.contains(where: { $0 >= 0x80 }), let decoded = texts.decode(text) { return decoded }
        return String(decoding: text, as: UTF8.self)
    }
}
