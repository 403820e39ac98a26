/// One line of gitignore(5), taken apart.
public struct ExcludePattern: Hashable, Sendable {
    /// `!`: takes matching entries in again, unless a directory above them is excluded.
    public let isNegated: Bool
    /// A trailing slash: matches directories only.
    public let matchesDirectoriesOnly: Bool
    /// A leading slash.
    public let isAnchored: Bool
    /// Without a slash before its end: matched against the name at any depth, not against the path.
    public let matchesName: Bool
    /// What remains: without negation, anchoring and trailing slash.
    let glob: [UInt8]
    /// As it was written, for messages.
    public let source: [UInt8]

    /// A pattern taken as it is, as given on a command line: `#` does not make it a comment, and blanks
    /// at its end belong to it.
    public init(_ source: [UInt8]) {
        self.source = source
        var rest = source[...]
        isNegated = rest.first == UInt8(ascii: "!")
        if isNegated { rest.removeFirst() }
        matchesDirectoriesOnly = rest.last == RawPath.slash
        if matchesDirectoriesOnly { rest.removeLast() }
        matchesName = !rest.contains(RawPath.slash)
        isAnchored = rest.first == RawPath.slash
        if isAnchored { rest.removeFirst() }
        glob = Array(rest)
    }

    public init(_ source: String) {
        self.init(Array(source.utf8))
    }

    /// The patterns of an exclude file, in order: one a line, which may end in LF or CR LF; empty lines and
    /// lines that start with `#` are skipped, blanks at the end unless escaped are dropped, a UTF-8 byte order
    /// mark is ignored.
    public static func parse(file: [UInt8]) -> [ExcludePattern] {
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        let text = file.starts(with: mark) ? file[mark.count...] : file[...]
        return text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            var line = line
            // As git does, whether or not the last line is terminated.
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            guard let first = line.first, first != UInt8(ascii: "#") else { return nil }
            let trimmed = withoutTrailingBlanks(line)
            return trimmed.isEmpty ? nil : ExcludePattern(Array(trimmed))
        }
    }

    private static func withoutTrailingBlanks(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var end = line.startIndex
        var isEscaped = false
        for (index, byte) in zip(line.indices, line) {
            if isEscaped || byte != UInt8(ascii: " ") { end = index + 1 }
            isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
        }
        return line[..<end]
    }
}
