import RepoBase

/// A reader of the JSON that PostgreSQL writes as a backup manifest: objects, arrays, texts, whole numbers. It builds no tree, so its memory is
/// that of the texts it is asked for. Every throw is `.damaged` and names byte and object.
struct ManifestScanner {
    private let bytes: UnsafeRawBufferPointer
    private let object: String
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer, object: String) {
        self.bytes = bytes
        self.object = object
    }

    func fail(_ why: String) -> RepoError {
        RepoError(.damaged, "\(object) is damaged: at byte \(offset) \(why)", advice: "Take the base backup again.")
    }

    private mutating func skipSpace() {
        while offset < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[offset]) { offset += 1 }
    }

    /// Whether the next sign is this one, which is then behind.
    mutating func take(_ sign: Unicode.Scalar) -> Bool {
        skipSpace()
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: sign) else { return false }
        offset += 1
        return true
    }

    mutating func expect(_ sign: Unicode.Scalar) throws(RepoError) {
        guard take(sign) else { throw fail("there is no '\(sign)'") }
    }

    mutating func expectEnd() throws(RepoError) {
        skipSpace()
        guard offset == bytes.count else { throw fail("something follows its end") }
    }

    /// Calls `body` for each name of an object; it reads the value.
    mutating func object(_ body: (inout ManifestScanner, String) throws(RepoError) -> Void) throws(RepoError) {
        try expect("{")
        if take("}") { return }
        repeat {
            let name = String(decoding: try text(), as: UTF8.self)
            try expect(":")
            try body(&self, name)
        } while take(",")
        try expect("}")
    }

    /// Calls `body` for each element of an array; it reads the element.
    mutating func array(_ body: (inout ManifestScanner) throws(RepoError) -> Void) throws(RepoError) {
        try expect("[")
        if take("]") { return }
        repeat { try body(&self) } while take(",")
        try expect("]")
    }

    /// The bytes of a text, escapes resolved.
    mutating func text() throws(RepoError) -> [UInt8] {
        try expect("\"")
        let start = offset
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\""), bytes[offset] != UInt8(ascii: "\\"), bytes[offset] >= 0x20 {
            offset += 1
        }
        var result = Array(bytes[start..<offset])
        while true {
            guard offset < bytes.count else { throw fail("a text does not end") }
            let byte = bytes[offset]
            guard byte >= 0x20 else { throw fail("a text holds a control character") }
            offset += 1
            if byte == UInt8(ascii: "\"") { return result }
            if byte == UInt8(ascii: "\\") { try escape(into: &result) } else { result.append(byte) }
        }
    }

    private mutating func escape(into result: inout [UInt8]) throws(RepoError) {
        guard offset < bytes.count else { throw fail("a text does not end") }
        let sign = bytes[offset]
        offset += 1
        switch sign {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(sign)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try codeUnit()
            if (0xD800..<0xDC00).contains(unit) {
                guard offset + 2 <= bytes.count, bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u") else {
                    throw fail("half a character is missing")
                }
                offset += 2
                let low = try codeUnit()
                guard (0xDC00..<0xE000).contains(low) else { throw fail("half a character is missing") }
                unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(unit), unit != 0 else { throw fail("a text holds what is no character") }
            result.append(contentsOf: String(Character(scalar)).utf8)
        default: throw fail("a text holds an unknown escape")
        }
    }

    private mutating func codeUnit() throws(RepoError) -> UInt32 {
        guard offset + 4 <= bytes.count else { throw fail("a text does not end") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Hexadecimal.value(bytes[offset]) else { throw fail("a text holds an unknown escape") }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }

    /// A whole number that is not negative.
    mutating func number() throws(RepoError) -> UInt64 {
        skipSpace()
        let start = offset
        var value: UInt64 = 0
        while offset < bytes.count, (0x30...0x39).contains(bytes[offset]) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(bytes[offset] - 0x30))
            guard !overflow, !carry else { throw fail("a number is too large") }
            value = sum
            offset += 1
        }
        guard offset > start else { throw fail("there is no number") }
        return value
    }
}

/// Two hexadecimal digits a byte.
enum Hexadecimal {
    static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x41 + 10
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }

    static func bytes(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 2 == 0 else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(text.count / 2)
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let high = value(text[index]), let low = value(text[index + 1]) else { return nil }
            result.append(high << 4 | low)
        }
        return result
    }
}
