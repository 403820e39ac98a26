/// Paths as the kernel sees them: bytes without a zero, with slashes between components.
public enum RawPath {
    static let slash = UInt8(ascii: "/")
    static let dot = UInt8(ascii: ".")

    /// The path for people: valid UTF-8 as it is, everything that would not show (bytes that are not
    /// UTF-8, control characters) and the backslash escaped, as in `caf\xe9` and `a\nb`.
    public static func describe(_ path: some Collection<UInt8>) -> String {
        var text = ""
        var rest = path[...]
        while !rest.isEmpty {
            guard let (scalar, length) = decodeScalar(rest) else {
                text += escape(rest.removeFirst())
                continue
            }
            switch scalar {
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case "\r": text += "\\r"
            case "\\": text += "\\\\"
            case let scalar
            where scalar.properties.generalCategory == .control
                || scalar.properties.generalCategory == .format
                || scalar.properties.generalCategory == .lineSeparator
                || scalar.properties.generalCategory == .paragraphSeparator:
                for byte in rest.prefix(length) { text += escape(byte) }
            default: text.unicodeScalars.append(scalar)
            }
            rest.removeFirst(length)
        }
        return text
    }

    /// The scalar at the start of `bytes` and its length in UTF-8, or nothing where they are not UTF-8.
    private static func decodeScalar(_ bytes: some Collection<UInt8>) -> (Unicode.Scalar, Int)? {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
        return (scalar, UTF8.width(scalar))
    }

    private static func escape(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return "\\x" + (digits.count == 1 ? "0" + digits : digits)
    }

    /// What stands after the last slash, trailing slashes apart; empty for `/` and for nothing.
    public static func lastComponent(_ path: [UInt8]) -> [UInt8] {
        let end = (path.lastIndex { $0 != slash } ?? -1) + 1
        let start = (path[..<end].lastIndex(of: slash) ?? -1) + 1
        return Array(path[start..<end])
    }

    /// The components of a path, without empty ones and without `.`.
    public static func components(_ path: [UInt8]) -> [ArraySlice<UInt8>] {
        path.split(separator: slash).filter { $0 != [dot] }
    }

    /// An absolute path without `.`, `..`, repeated or trailing slashes. `..` is taken away together with
    /// the component before it, whether or not that is a symbolic link.
    ///
    /// - Parameter directory: absolute; what a relative path starts from.
    public static func absolute(_ path: [UInt8], relativeTo directory: [UInt8]) -> [UInt8] {
        var result: [ArraySlice<UInt8>] = path.first == slash ? [] : components(directory)
        for component in components(path) {
            if component == [dot, dot] {
                _ = result.popLast()
            } else {
                result.append(component)
            }
        }
        return [slash] + Array(result.joined(separator: CollectionOfOne(slash)))
    }
}
