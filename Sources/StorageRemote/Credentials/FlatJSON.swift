/// The strings, and with `scalars` the numbers and words too, that stand directly in an object of JSON (RFC 8259); everything else in it is passed
/// over, nested as deep as 32.
///
/// Nil for what is no object, and for what does not parse.
struct FlatJSON {
    private var strings: [String: String] = [:]
    /// Numbers, `true`, `false` and `null`, as they are written.
    private var words: [String: String] = [:]
    private var rest: ArraySlice<UInt8>

    static func strings(_ bytes: [UInt8]) -> [String: String]? { scanned(bytes)?.strings }

    /// A string wins over a number of the same name.
    static func scalars(_ bytes: [UInt8]) -> [String: String]? { scanned(bytes).map { $0.strings.merging($0.words) { text, _ in text } } }

    private static func scanned(_ bytes: [UInt8]) -> FlatJSON? {
        var scanner = FlatJSON(rest: bytes[...])
        guard scanner.take("{"), scanner.members(depth: 0) else { return nil }
        scanner.skipSpace()
        return scanner.rest.isEmpty ? scanner : nil
    }

    private init(rest: ArraySlice<UInt8>) { self.rest = rest }

    private mutating func members(depth: Int) -> Bool {
        if take("}") { return true }
        repeat {
            guard take("\""), let name = string(), take(":") else { return false }
            if take("\"") {
                guard let value = string() else { return false }
                if depth == 0 { strings[name] = value }
            } else {
                let start = rest
                guard value(depth: depth + 1) else { return false }
                if depth == 0 { note(name, start.prefix(start.count - rest.count)) }
            }
        } while take(",")
        return take("}")
    }

    private mutating func note(_ name: String, _ text: ArraySlice<UInt8>) {
        let word = text.drop { $0 == 32 || $0 == 9 || $0 == 10 || $0 == 13 }
        guard let first = word.first, first != UInt8(ascii: "{"), first != UInt8(ascii: "[") else { return }
        words[name] = String(decoding: word, as: UTF8.self)
    }

    private mutating func value(depth: Int) -> Bool {
        guard depth < 32 else { return false }
        if take("{") { return members(depth: depth) }
        if take("\"") { return string() != nil }
        if take("[") {
            if take("]") { return true }
            repeat { guard value(depth: depth + 1) else { return false } } while take(",")
            return take("]")
        }
        skipSpace()
        let word = rest.prefix { byte in
            Unicode.Scalar(byte).properties.isAlphabetic && byte < 128 || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
        }
        rest = rest.dropFirst(word.count)
        return !word.isEmpty
    }

    /// Behind its first quote.
    private mutating func string() -> String? {
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
            case 0..<32: return nil
            case UInt8(ascii: "\\"):
                guard let sign = rest.popFirst() else { return nil }
                switch sign {
                case UInt8(ascii: "n"): text.append(10)
                case UInt8(ascii: "t"): text.append(9)
                case UInt8(ascii: "r"): text.append(13)
                case UInt8(ascii: "b"): text.append(8)
                case UInt8(ascii: "f"): text.append(12)
                case UInt8(ascii: "u"):
                    // No credential needs a pair of surrogates.
                    guard rest.count >= 4, let value = UInt32(String(decoding: rest.prefix(4), as: UTF8.self), radix: 16),
                        let scalar = Unicode.Scalar(value)
                    else { return nil }
                    rest = rest.dropFirst(4)
                    text.append(contentsOf: String(Character(scalar)).utf8)
                default: text.append(sign)
                }
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func take(_ sign: Unicode.Scalar) -> Bool {
        skipSpace()
        guard rest.first == UInt8(ascii: sign) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func skipSpace() { rest = rest.drop { $0 == 32 || $0 == 9 || $0 == 10 || $0 == 13 } }
}
