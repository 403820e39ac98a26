/// On which line of a TOML document each key stands, for messages: the parser does not tell.
///
/// The document has been parsed already, so this only has to understand what is valid.
struct TOMLLines {
    private var lines: [[String]: Int] = [:]

    /// The line of a key, or of what holds it; elements of arrays of tables are counted from 0 in the path.
    func line(of path: [String]) -> Int {
        var path = path
        while !path.isEmpty {
            if let line = lines[path] { return line }
            path.removeLast()
        }
        return 1
    }

    init(_ text: String) {
        var scanner = Scanner(text)
        var table: [String] = []
        var counts: [[String]: Int] = [:]
        while scanner.skipToStatement() {
            let line = scanner.line
            if scanner.take("[") {
                let isArray = scanner.take("[")
                let name = Self.resolved(scanner.key(), counts, last: !isArray)
                table = name
                if isArray {
                    let index = counts[name, default: 0]
                    counts[name] = index + 1
                    table.append(String(index))
                }
                lines[table] = line
                scanner.skipLine()
            } else {
                let key = scanner.key()
                for length in 1...max(1, key.count) {
                    lines[table + key.prefix(length)] = lines[table + key.prefix(length)] ?? line
                }
                scanner.skipValue()
            }
        }
    }

    /// A table's name with the index of the latest element of each array of tables on the way.
    private static func resolved(_ key: [String], _ counts: [[String]: Int], last: Bool) -> [String] {
        var path: [String] = []
        for (position, part) in key.enumerated() {
            path.append(part)
            if last || position < key.count - 1, let count = counts[path] { path.append(String(count - 1)) }
        }
        return path
    }

    private struct Scanner {
        private let bytes: [UInt8]
        private var position = 0
        private(set) var line = 1

        init(_ text: String) { bytes = Array(text.utf8) }

        private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

        private mutating func advance() {
            if bytes[position] == UInt8(ascii: "\n") { line += 1 }
            position += 1
        }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard current == UInt8(ascii: character) else { return false }
            advance()
            return true
        }

        mutating func skipLine() {
            while let byte = current, byte != UInt8(ascii: "\n") { advance() }
        }

        /// False at the end of the document.
        mutating func skipToStatement() -> Bool {
            while let byte = current {
                if byte == UInt8(ascii: "#") {
                    skipLine()
                } else if byte <= UInt8(ascii: " ") {
                    advance()
                } else {
                    return true
                }
            }
            return false
        }

        /// A dotted key up to what ends it.
        mutating func key() -> [String] {
            var parts: [String] = []
            var part: [UInt8] = []
            while let byte = current,
                ![UInt8(ascii: "="), UInt8(ascii: "]"), UInt8(ascii: "\n")].contains(byte)
            {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                    part += string()
                } else {
                    if byte == UInt8(ascii: ".") {
                        parts.append(String(decoding: part, as: UTF8.self))
                        part = []
                    } else if byte > UInt8(ascii: " ") {
                        part.append(byte)
                    }
                    advance()
                }
            }
            return parts + [String(decoding: part, as: UTF8.self)]
        }

        /// Beyond the value after a key, however many lines it has.
        mutating func skipValue() {
            var depth = 0
            while let byte = current {
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "'"): _ = string()
                case UInt8(ascii: "#"): skipLine()
                case UInt8(ascii: "["), UInt8(ascii: "{"):
                    depth += 1
                    advance()
                case UInt8(ascii: "]"), UInt8(ascii: "}"):
                    depth -= 1
                    advance()
                case UInt8(ascii: "\n") where depth == 0: return
                default: advance()
                }
            }
        }

        /// What stands between the quotes, of one or of three, escapes left as they are.
        private mutating func string() -> [UInt8] {
            guard let quote = current else { return [] }
            let isLong =
                bytes[position...].prefix(3).count == 3
                && bytes[position...].prefix(3).allSatisfy { $0 == quote }
            let closing = [UInt8](repeating: quote, count: isLong ? 3 : 1)
            for _ in closing { advance() }
            let start = position
            while current != nil, !bytes[position...].starts(with: closing) {
                if current == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") { advance() }
                if current != nil { advance() }
            }
            let content = Array(bytes[start..<position])
            for _ in closing where current != nil { advance() }
            return content
        }
    }
}
