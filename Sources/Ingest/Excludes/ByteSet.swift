/// A set of bytes, as bracket expressions of patterns denote.
struct ByteSet: Hashable, Sendable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    init() {}

    func contains(_ byte: UInt8) -> Bool {
        let bit = UInt64(1) << UInt64(byte & 63)
        return switch byte >> 6 {
        case 0: words.0 & bit != 0
        case 1: words.1 & bit != 0
        case 2: words.2 & bit != 0
        default: words.3 & bit != 0
        }
    }

    mutating func insert(_ byte: UInt8) {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    private mutating func insert(where predicate: (UInt8) -> Bool) {
        for byte in UInt8.min...UInt8.max where predicate(byte) { insert(byte) }
    }

    private mutating func invert() {
        words = (~words.0, ~words.1, ~words.2, ~words.3)
    }

    static func == (left: ByteSet, right: ByteSet) -> Bool { left.words == right.words }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }
}

extension ByteSet {
    /// Reads what follows a `[`, up to and with its `]`: `!` or `^` first negates, a `]` first is a
    /// member, a backslash escapes, `a-z` is a range, `[:alpha:]` a class. Nothing where it does not end
    /// or names an unknown class.
    init?(bracketExpression rest: inout ArraySlice<UInt8>) {
        self.init()
        let isNegated = rest.first == UInt8(ascii: "!") || rest.first == UInt8(ascii: "^")
        if isNegated { rest.removeFirst() }
        /// What a following `-` starts from; nothing after a range or a class.
        var rangeStart: UInt8?
        var isFirst = true
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "]"), !isFirst {
                if isNegated { invert() }
                return
            }
            isFirst = false
            let next = rest.first
            if byte == UInt8(ascii: "\\") {
                guard let escaped = rest.popFirst() else { return nil }
                insert(escaped)
                rangeStart = escaped
            } else if byte == UInt8(ascii: "-"), let start = rangeStart, let next,
                next != UInt8(ascii: "]")
            {
                rest.removeFirst()
                var end = next
                if end == UInt8(ascii: "\\") {
                    guard let escaped = rest.popFirst() else { return nil }
                    end = escaped
                }
                if start <= end { for byte in start...end { insert(byte) } }
                rangeStart = nil
            } else if byte == UInt8(ascii: "["), next == UInt8(ascii: ":") {
                // The name ends at the next `]`. Without a colon before that, `[` is a member.
                guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else { return nil }
                if end - 1 > rest.startIndex, rest[end - 1] == UInt8(ascii: ":") {
                    let name = rest[(rest.startIndex + 1)..<(end - 1)]
                    guard let isMember = Self.classes[String(decoding: name, as: UTF8.self)] else {
                        return nil
                    }
                    insert(where: isMember)
                    rest = rest[(end + 1)...]
                    rangeStart = nil
                } else {
                    insert(byte)
                    rangeStart = byte
                }
            } else {
                insert(byte)
                rangeStart = byte
            }
        }
        return nil
    }

    /// POSIX character classes of ASCII, with git's `space`, to which form feed and vertical tab do not
    /// belong.
    private static let classes: [String: @Sendable (UInt8) -> Bool] = [
        "alnum": { isDigit($0) || isUpper($0) || isLower($0) },
        "alpha": { isUpper($0) || isLower($0) },
        "blank": { $0 == 0x20 || $0 == 0x09 },
        "cntrl": { $0 < 0x20 || $0 == 0x7f },
        "digit": { isDigit($0) },
        "graph": { $0 > 0x20 && $0 < 0x7f },
        "lower": { isLower($0) },
        "print": { $0 >= 0x20 && $0 < 0x7f },
        "punct": { $0 > 0x20 && $0 < 0x7f && !isDigit($0) && !isUpper($0) && !isLower($0) },
        "space": { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a || $0 == 0x0d },
        "upper": { isUpper($0) },
        "xdigit": { isDigit($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0) },
    ]

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (0x41...0x5a).contains(byte) }
    private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) }
}
