/// A strict reader of the XML that stores answer with (XML 1.0, fifth edition): elements, text, the five entities and character references.
///
/// Without document types, and so without entities of their own, without external files and without recursion. Namespaces are not resolved: a
/// name's prefix is dropped. Nothing grows beyond the input; elements lie at most `maximumDepth` deep. Linear in the input.
struct XMLScanner {
    enum Event: Equatable {
        case start(String)
        /// Between two tags, references resolved; never empty.
        case text(String)
        case end
    }

    struct Malformed: Error, Equatable {
        let offset: Int
        let why: String
    }

    static let maximumDepth = 32

    private let bytes: [UInt8]
    private var at = 0
    private var open: [String] = []
    /// `<a/>` is an element that begins and ends.
    private var endsNext = false
    private var hasRoot = false

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        // The byte order mark that some servers write.
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { at = 3 }
    }

    /// The next event; nil behind the root element's end.
    mutating func next() throws(Malformed) -> Event? {
        if endsNext {
            endsNext = false
            open.removeLast()
            return .end
        }
        while at < bytes.count {
            if bytes[at] != UInt8(ascii: "<") {
                let text = try text()
                if !open.isEmpty {
                    if !text.isEmpty { return .text(text) }
                } else if !text.utf8.allSatisfy(Self.isSpace) {
                    throw malformed("text outside the root element")
                }
            } else if starts(with: "<?") {
                try skip(past: "?>")
            } else if starts(with: "<!--") {
                try skip(past: "-->")
            } else if starts(with: "<![CDATA[") {
                let start = at + 9
                try skip(past: "]]>")
                guard !open.isEmpty else { throw malformed("text outside the root element") }
                let text = try string(bytes[start..<at - 3])
                if !text.isEmpty { return .text(text) }
            } else if starts(with: "<!") {
                throw malformed("a document type")
            } else if starts(with: "</") {
                return try endTag()
            } else {
                return try startTag()
            }
        }
        guard open.isEmpty, hasRoot else { throw malformed("it ends within an element") }
        return nil
    }

    private mutating func startTag() throws(Malformed) -> Event {
        guard !open.isEmpty || !hasRoot else { throw malformed("a second root element") }
        guard open.count < Self.maximumDepth else { throw malformed("elements lie too deep") }
        at += 1
        let name = try name()
        while true {
            let hasSpace = skipSpace()
            guard at < bytes.count else { throw malformed("it ends within a tag") }
            if starts(with: "/>") {
                at += 2
                endsNext = true
                break
            }
            if bytes[at] == UInt8(ascii: ">") {
                at += 1
                break
            }
            guard hasSpace else { throw malformed("attributes stand together") }
            try skipAttribute()
        }
        hasRoot = true
        open.append(name)
        return .start(Self.local(name))
    }

    private mutating func endTag() throws(Malformed) -> Event {
        at += 2
        let name = try name()
        skipSpace()
        guard at < bytes.count, bytes[at] == UInt8(ascii: ">") else { throw malformed("an end tag does not end") }
        guard open.popLast() == name else { throw malformed("'</\(name)>' ends another element") }
        at += 1
        return .end
    }

    private mutating func skipAttribute() throws(Malformed) {
        _ = try name()
        skipSpace()
        guard at < bytes.count, bytes[at] == UInt8(ascii: "=") else { throw malformed("an attribute without a value") }
        at += 1
        skipSpace()
        guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "'") else {
            throw malformed("an attribute's value without quotes")
        }
        let quote = bytes[at]
        at += 1
        while at < bytes.count, bytes[at] != quote {
            if bytes[at] == UInt8(ascii: "<") { throw malformed("'<' in an attribute") }
            at += 1
        }
        guard at < bytes.count else { throw malformed("it ends within an attribute") }
        at += 1
    }

    private mutating func name() throws(Malformed) -> String {
        let start = at
        while at < bytes.count, Self.isNameByte(bytes[at]) { at += 1 }
        guard at > start, at - start <= 256 else { throw malformed("a name is missing or too long") }
        // At most a prefix and a name (Namespaces in XML 1.0, section 4).
        let parts = bytes[start..<at].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count <= 2, !parts.contains(where: \.isEmpty) else { throw malformed("a name is only a prefix, or has several") }
        return try string(bytes[start..<at])
    }

    private mutating func text() throws(Malformed) -> String {
        var text: [UInt8] = []
        while at < bytes.count, bytes[at] != UInt8(ascii: "<") {
            if bytes[at] == UInt8(ascii: "&") {
                try reference(into: &text)
            } else {
                text.append(bytes[at])
                at += 1
            }
        }
        return try string(text[...])
    }

    private mutating func reference(into text: inout [UInt8]) throws(Malformed) {
        let start = at + 1
        guard let length = bytes[start...].prefix(12).firstIndex(of: UInt8(ascii: ";")).map({ $0 - start }) else {
            throw malformed("a reference does not end")
        }
        let name = String(decoding: bytes[start..<start + length], as: UTF8.self)
        switch name {
        case "lt": text.append(UInt8(ascii: "<"))
        case "gt": text.append(UInt8(ascii: ">"))
        case "amp": text.append(UInt8(ascii: "&"))
        case "quot": text.append(UInt8(ascii: "\""))
        case "apos": text.append(UInt8(ascii: "'"))
        default:
            let digits = name.hasPrefix("#x") ? name.dropFirst(2) : name.dropFirst()
            guard name.hasPrefix("#"), digits.first?.isHexDigit == true,
                let value = UInt32(digits, radix: name.hasPrefix("#x") ? 16 : 10), value > 0, let scalar = Unicode.Scalar(value)
            else { throw malformed("the unknown reference '&\(name);'") }
            text.append(contentsOf: String(Character(scalar)).utf8)
        }
        at = start + length + 1
    }

    private func string(_ slice: ArraySlice<UInt8>) throws(Malformed) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw malformed("it is not UTF-8") }
        return text
    }

    private mutating func skip(past end: StaticString) throws(Malformed) {
        while at < bytes.count {
            if starts(with: end) {
                at += end.utf8CodeUnitCount
                return
            }
            at += 1
        }
        throw malformed("it ends within a comment or an instruction")
    }

    @discardableResult
    private mutating func skipSpace() -> Bool {
        let start = at
        while at < bytes.count, Self.isSpace(bytes[at]) { at += 1 }
        return at > start
    }

    private func starts(with text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - at >= count else { return false }
        return (0..<count).allSatisfy { bytes[at + $0] == text.utf8Start[$0] }
    }

    private static func local(_ name: String) -> String {
        name.lastIndex(of: ":").map { String(name[name.index(after: $0)...]) } ?? name
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }

    /// Bytes of names: ASCII's letters, digits and signs, and everything above.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"), 0x80...0xff:
            true
        default: false
        }
    }

    private func malformed(_ why: String) -> Malformed { Malformed(offset: at, why: why) }
}
