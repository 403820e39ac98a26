public import RepoBase

/// Which tables are meant, as pg_dump's `--table` takes it: `[schema.]name`, `*` for any characters and `?` for one, upper case folded and what stands in
/// double quotes taken as it is, regular expressions otherwise (psql, "Patterns"; `processSQLNamePattern`, fe_utils/string_utils.c).
///
/// Matched here and not by the server, so that dumps and servers are asked the same question, and no name becomes part of a statement.
public struct TablePattern: Sendable, CustomStringConvertible {
    public let description: String
    /// Nil: in any schema.
    private let schema: [Piece]?
    private let name: [Piece]

    private enum Piece: Hashable, Sendable {
        case scalar(Unicode.Scalar)
        case any
        case anyOne
        /// `[a-z]`, `[^a-z]`.
        case oneOf([ClosedRange<Unicode.Scalar>], isNegated: Bool)
    }

    /// Throws `.usage` for what cannot be meant.
    public init(_ text: String) throws(RepoError) {
        description = text
        let parts = try Self.parts(text)
        switch parts.count {
        case 1: (schema, name) = (nil, parts[0])
        case 2: (schema, name) = (parts[0], parts[1])
        default:
            throw RepoError(
                .usage, "'\(text)' has more dots than a schema and a table need",
                advice: "Name the database with --database, and put names that have dots into double quotes: '\"a.b\".c'.")
        }
    }

    /// This table and no other.
    init(exactly table: TableName) {
        description = table.description
        schema = table.schema.unicodeScalars.map { .scalar($0) }
        name = table.name.unicodeScalars.map { .scalar($0) }
    }

    /// The table that is meant, where a schema is named and nothing stands for anything else.
    var exact: TableName? {
        guard let schema = schema.flatMap(Self.plain), let name = Self.plain(name) else { return nil }
        return TableName(schema: schema, name: name)
    }

    private static func plain(_ pieces: [Piece]) -> String? {
        var scalars = String.UnicodeScalarView()
        for piece in pieces {
            guard case .scalar(let scalar) = piece else { return nil }
            scalars.append(scalar)
        }
        return String(scalars)
    }

    /// For names of schemas: a single part.
    public init(schema text: String) throws(RepoError) {
        description = text
        let parts = try Self.parts(text)
        guard parts.count == 1 else {
            throw RepoError(.usage, "'\(text)' is no name of a schema", advice: "Put a name that has dots into double quotes.")
        }
        (schema, name) = (nil, parts[0])
    }

    /// Whether it means this table.
    public func matches(schema: String, name: String) -> Bool {
        (self.schema.map { Self.matches(schema, $0) } ?? true) && Self.matches(name, self.name)
    }

    /// Whether it means this schema.
    public func matches(schema: String) -> Bool { Self.matches(schema, name) }

    // MARK: - Reading

    private static func parts(_ text: String) throws(RepoError) -> [[Piece]] {
        func refuse(_ why: String) -> RepoError {
            RepoError(
                .usage, "'\(text)' is no pattern of tables: \(why)",
                advice: "Write it as in 'public.orders', 'sales.*' or '\"Odd Name\"'; what stands in double quotes is taken as it is.")
        }
        var parts: [[Piece]] = [[]]
        var isQuoted = false
        var wasQuoted = false
        let scalars = Array(text.unicodeScalars)
        var at = 0
        while at < scalars.count {
            let scalar = scalars[at]
            at += 1
            guard scalar.value != 0 else { throw refuse("it has a zero character") }
            if scalar == "\"" {
                if isQuoted, at < scalars.count, scalars[at] == "\"" {
                    parts[parts.count - 1].append(.scalar("\""))
                    at += 1
                } else {
                    isQuoted.toggle()
                    wasQuoted = true
                }
            } else if isQuoted {
                parts[parts.count - 1].append(.scalar(scalar))
            } else {
                switch scalar {
                case ".":
                    guard !parts[parts.count - 1].isEmpty else { throw refuse("there is nothing before a dot") }
                    parts.append([])
                case "*": parts[parts.count - 1].append(.any)
                case "?": parts[parts.count - 1].append(.anyOne)
                case "[":
                    guard let end = scalars[at...].dropFirst(scalars[at...].first == "^" ? 2 : 1).firstIndex(of: "]"), end > at else {
                        throw refuse("'[' has no ']'")
                    }
                    parts[parts.count - 1].append(try set(scalars[at..<end], refuse))
                    at = end + 1
                case "(", ")", "|", "+", "{", "}", "\\", "^", "]":
                    // Known to psql as parts of regular expressions, and hardly ever meant.
                    throw refuse("'\(scalar)' is not understood outside of double quotes")
                default: parts[parts.count - 1].append(.scalar(folded(scalar)))
                }
            }
        }
        guard !isQuoted else { throw refuse("a double quote is not closed") }
        guard !parts[parts.count - 1].isEmpty else { throw refuse(wasQuoted || parts.count > 1 ? "a name is empty" : "it is empty") }
        return parts
    }

    /// As the server folds identifiers in UTF-8: ASCII alone (`downcase_identifier`, parser/scansup.c).
    private static func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        ("A"..."Z").contains(scalar) ? Unicode.Scalar(scalar.value + 32)! : scalar
    }

    private static func set(_ text: ArraySlice<Unicode.Scalar>, _ refuse: (String) -> RepoError) throws(RepoError) -> Piece {
        var text = text
        let isNegated = text.first == "^"
        if isNegated { text = text.dropFirst() }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        while let first = text.popFirst().map(folded) {
            guard text.first == "-", text.count > 1 else {
                ranges.append(first...first)
                continue
            }
            text = text.dropFirst()
            let last = folded(text.removeFirst())
            guard first <= last else { throw refuse("a range ends before it begins") }
            ranges.append(first...last)
        }
        return .oneOf(ranges, isNegated: isNegated)
    }

    // MARK: - Matching

    /// Linear in most cases: after a `*` only the latest one is tried again.
    private static func matches(_ text: String, _ pattern: [Piece]) -> Bool {
        var name = Array(text.unicodeScalars)[...]
        var pattern = pattern[...]
        var retry: (name: ArraySlice<Unicode.Scalar>, pattern: ArraySlice<Piece>)?
        while true {
            if pattern.first == .any {
                retry = (name, pattern.dropFirst())
                pattern = pattern.dropFirst()
            } else if let next = name.first, let piece = pattern.first, fits(next, piece) {
                name = name.dropFirst()
                pattern = pattern.dropFirst()
            } else if name.isEmpty, pattern.isEmpty {
                return true
            } else {
                guard let again = retry, !again.name.isEmpty else { return false }
                retry = (again.name.dropFirst(), again.pattern)
                (name, pattern) = (again.name.dropFirst(), again.pattern)
            }
        }
    }

    private static func fits(_ scalar: Unicode.Scalar, _ piece: Piece) -> Bool {
        switch piece {
        case .scalar(let wanted): scalar == wanted
        case .any: false
        case .anyOne: true
        case .oneOf(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
        }
    }
}
