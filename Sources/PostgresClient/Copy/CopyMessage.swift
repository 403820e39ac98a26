import CPQ
import Glibc
public import RepoBase

/// One message of a copy, in libpq's own memory, freed with this value (PQgetCopyData). Nothing is copied.
public struct CopyMessage: ~Copyable {
    private let start: UnsafeMutablePointer<CChar>
    public let count: Int

    init(_ start: UnsafeMutablePointer<CChar>, count: Int) {
        self.start = start
        self.count = count
    }

    deinit { PQfreemem(start) }

    /// Valid while the message lives.
    public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: start, count: count))
    }
}

/// What came of waiting for a message.
public enum CopyEvent: ~Copyable {
    case message(CopyMessage)
    /// The time was over.
    case nothing
    /// The server ended the copy.
    case ended
}

extension PostgresConnection {
    /// Starts a copy from the server: COPY … TO STDOUT. Read it to its end by `copyMessage`.
    public func startCopyOut(_ statement: String) throws(RepoError) {
        try send(statement)
        try expectCopy(PGRES_COPY_OUT, statement)
    }

    /// Takes the result that opens a copy.
    func expectCopy(_ status: ExecStatusType, _ command: String) throws(RepoError) {
        guard let result = try nextResult() else { throw lost() }
        guard PQresultStatus(result) == status else { throw unexpected(result, command) }
        PQclear(result)
    }

    /// The next message of a copy, nil at its end; the connection then gives its remaining results.
    public func copyMessage() throws(RepoError) -> CopyMessage? {
        switch try copyEvent(until: nil) {
        case .message(let message): return message
        case .nothing: return nil
        case .ended: return nil
        }
    }

    /// The next message, waiting for it until `deadline`, for ever without one. Throws what the server or the line has against it.
    public func copyEvent(until deadline: ContinuousClock.Instant?) throws(RepoError) -> CopyEvent {
        try cancellation?.check()
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(handle, &buffer, 1)
            if count > 0, let buffer { return .message(CopyMessage(buffer, count: Int(count))) }
            if count == -1 { return .ended }
            guard count == 0 else { throw lost() }
            guard try wait(POLLIN, until: deadline) != 0 else { return .nothing }
            guard PQconsumeInput(handle) == 1 else { throw lost() }
        }
    }

    func isCompletion(_ result: OpaquePointer) -> Bool { PQresultStatus(result) == PGRES_COMMAND_OK }

    /// An answer of another kind than the protocol has at this place, or an error; takes over the result.
    func unexpected(_ result: OpaquePointer, _ command: String) -> RepoError {
        let status = PQresultStatus(result)
        if status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE { return refused(result, command) }
        PQclear(result)
        return RepoError(
            .sourceFailed, "\(target) answered a command otherwise than the protocol has it (\(String(cString: PQresStatus(status))))",
            advice: "Is it PostgreSQL itself, without a pooler in between?")
    }
}
