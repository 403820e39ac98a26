/// The words of the SQL that pg_dump writes for rights, policies and settings, one after the other: what stands in parentheses, constants and comments is
/// passed over. Names come without their quotes (`fmtId`, fe_utils/string_utils.c); keywords are never quoted, and names that look like them always are.
struct SQLWords: Sequence, IteratorProtocol {
    enum Word: Hashable {
        /// A keyword, or a name that needs no quotes.
        case bare(String)
        case quoted(String)
        case symbol(UInt8)
    }

    private var rest: ArraySlice<UInt8>

    init(_ text: String) { rest = Array(text.utf8)[...] }

    mutating func next() -> Word? {
        var depth = 0
        while let byte = rest.first {
            switch byte {
            case UInt8(ascii: "'"): _ = takeQuoted(byte)
            case UInt8(ascii: "\""):
                let name = takeQuoted(byte)
                if depth == 0 { return .quoted(name) }
            case UInt8(ascii: "("), UInt8(ascii: ")"):
                depth = Swift.max(0, depth + (byte == UInt8(ascii: "(") ? 1 : -1))
                rest.removeFirst()
            case UInt8(ascii: "-") where rest.dropFirst().first == byte: rest = rest.drop { $0 != UInt8(ascii: "\n") }
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): rest.removeFirst()
            default:
                let word = takeWord()
                if depth == 0 { return word }
            }
        }
        return nil
    }

    /// What stands between two quotes, of which one inside is doubled; to the end where the second one is missing.
    private mutating func takeQuoted(_ quote: UInt8) -> String {
        var content: [UInt8] = []
        rest.removeFirst()
        while let byte = rest.popFirst() {
            if byte == quote, rest.first == quote { rest.removeFirst() } else if byte == quote { break }
            content.append(byte)
        }
        return String(decoding: content, as: UTF8.self)
    }

    private mutating func takeWord() -> Word {
        let word = rest.prefix { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                UInt8(ascii: "$"), 0x80...:
                true
            default: false
            }
        }
        guard !word.isEmpty else { return .symbol(rest.removeFirst()) }
        rest = rest[word.endIndex...]
        return .bare(String(decoding: word, as: UTF8.self).lowercased())
    }
}
