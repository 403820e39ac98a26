import PostgresClient

/// A table, view or sequence by its schema and name, unquoted.
public struct TableName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let schema: String
    public let name: String

    public init(schema: String, name: String) { (self.schema, self.name) = (schema, name) }

    /// `"schema"."name"`, for statements; taken literally by pg_dump's `--table` as well.
    public var sql: String { "\(SQLText.identifier(schema)).\(SQLText.identifier(name))" }

    /// For people: quotes only where a name needs them to be understood, and no control characters.
    public var description: String { "\(Self.shown(schema)).\(Self.shown(name))" }

    static func shown(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.unicodeScalars.allSatisfy { ("a"..."z").contains($0) || ("0"..."9").contains($0) || $0 == "_" }
        if isPlain { return text }
        let printable = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
        return SQLText.identifier(printable)
    }

    /// By bytes, as the server compares names: Swift takes composed and decomposed letters for the same.
    public static func == (a: TableName, b: TableName) -> Bool { a.schema.utf8.elementsEqual(b.schema.utf8) && a.name.utf8.elementsEqual(b.name.utf8) }

    public func hash(into hasher: inout Hasher) {
        for text in [schema, name] {
            for byte in text.utf8 { hasher.combine(byte) }
            hasher.combine(UInt8(0))
        }
    }

    public static func < (a: TableName, b: TableName) -> Bool { (a.schema, a.name) < (b.schema, b.name) }
}
