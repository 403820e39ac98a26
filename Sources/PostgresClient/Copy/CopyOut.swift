import RepoBase

extension PostgresConnection {
    /// Runs COPY … TO STDOUT to its end and returns the number of rows; each call of `body` gets one in text format with its line's end, valid during the
    /// call.
    ///
    /// Throws `.sourceFailed` where the server breaks off, also behind rows that were delivered, and whatever `body` throws; the connection is of no use then.
    public func copyOut(_ statement: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws -> UInt64 {
        try startCopyOut(statement)
        var rows: UInt64 = 0
        while let message = try copyMessage() {
            try message.withBytes { try body($0) }
            rows += 1
        }
        while let result = try nextResult() {
            let answer = try completed(result, statement)
            if let told = UInt64(answer.commandTag.split(separator: " ").last ?? ""), told != rows {
                throw RepoError(.sourceFailed, "\(target) sent \(rows) rows of a copy, and says that there are \(told)")
            }
        }
        return rows
    }

    /// Takes over a result that has to be a command's good end.
    private func completed(_ result: OpaquePointer, _ command: String) throws(RepoError) -> QueryResult {
        guard isCompletion(result) else { throw unexpected(result, command) }
        return QueryResult(result)
    }
}
