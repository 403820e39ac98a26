import CPQ
public import RepoBase

/// The rows of one answer, in text format (libpq, PQgetvalue). Lives in libpq's memory until it is released.
public final class QueryResult {
    private let result: OpaquePointer

    /// Takes over the result.
    init(_ result: OpaquePointer) { self.result = result }

    deinit { PQclear(result) }

    public var rowCount: Int { Int(PQntuples(result)) }
    public var columnCount: Int { Int(PQnfields(result)) }
    /// Rows that the command touched, for those without answers of their own.
    public var commandTag: String { String(cString: PQcmdStatus(result)) }

    /// Nil for NULL, and outside of the answer.
    public subscript(row: Int, column: Int) -> String? {
        bytes(row, column).map { String(decoding: $0, as: UTF8.self) }
    }

    /// A value as it came, for those that need not be text. Valid while the result lives.
    public func bytes(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer? {
        guard row >= 0, row < rowCount, column >= 0, column < columnCount else { return nil }
        guard PQgetisnull(result, CInt(row), CInt(column)) == 0 else { return nil }
        return UnsafeRawBufferPointer(
            start: PQgetvalue(result, CInt(row), CInt(column)), count: Int(PQgetlength(result, CInt(row), CInt(column))))
    }

    /// All rows, NULL as nil.
    public var rows: [[String?]] { (0..<rowCount).map { row in (0..<columnCount).map { self[row, $0] } } }

    /// A value that has to be there and to be of this type. `what` names it. Throws `.sourceFailed`.
    public func value<T: LosslessStringConvertible>(
        _ row: Int, _ column: Int, as type: T.Type = T.self, _ what: String
    ) throws(RepoError) -> T {
        guard let text = self[row, column], let value = T(text) else {
            throw RepoError(
                .sourceFailed, "the server's answer has no usable \(what)\(self[row, column].map { ": '\($0)'" } ?? "")",
                advice: "Is it PostgreSQL itself, without a pooler in between?")
        }
        return value
    }
}
