import CPQ
import Glibc
public import RepoBase

/// One connection to a PostgreSQL server, for one thread at a time.
///
/// All waiting is done by poll(2) on the socket and, where there is one, the cancellation flag, so that nothing waits for ever unasked.
public final class PostgresConnection {
    public let target: ConnectionTarget
    public let kind: ConnectionKind
    let handle: OpaquePointer
    public let cancellation: CancellationFlag?
    private let notices: NoticeBox
    /// The SQLSTATE of what the server refused last (Appendix A of PostgreSQL's manual); empty before.
    public private(set) var refusedState = ""

    /// What libpq's notice receiver writes into; reached only from calls of this connection.
    private final class NoticeBox {
        var list: [ServerNotice] = []
        static let limit = 1000
    }

    /// Connects. Throws `.sourceFailed` with what to do about the usual reasons.
    /// - Parameters:
    ///   - applicationName: shown in `pg_stat_activity` and `pg_stat_replication` where the connection string names none.
    ///   - cancellation: ends whatever this connection waits for with `.interrupted`; the connection is of no use then.
    public init(
        _ target: ConnectionTarget, _ kind: ConnectionKind = .ordinary, applicationName: String = "repo",
        cancellation: CancellationFlag? = nil
    ) throws(RepoError) {
        self.target = target
        self.kind = kind
        self.cancellation = cancellation
        try ClientLibrary.load()
        let words = target.keywords(kind, applicationName: applicationName)
        var keys: [UnsafePointer<CChar>?] = words.map { UnsafePointer(strdup($0.0)) } + [nil]
        var values: [UnsafePointer<CChar>?] = words.map { UnsafePointer(strdup($0.1)) } + [nil]
        defer {
            for pointer in keys + values { free(UnsafeMutablePointer(mutating: pointer)) }
        }
        guard let handle = PQconnectdbParams(&keys, &values, 1) else { fatalError("out of memory for a connection") }
        self.handle = handle
        notices = NoticeBox()
        guard PQstatus(handle) == CONNECTION_OK else {
            // The deinitialiser finishes the handle.
            throw ServerFailure.connecting(String(cString: PQerrorMessage(handle)), target, kind)
        }
        PQsetNoticeReceiver(
            handle,
            { context, result in
                let box = Unmanaged<NoticeBox>.fromOpaque(context!).takeUnretainedValue()
                guard box.list.count < NoticeBox.limit else { return }
                box.list.append(ServerNotice(ServerFailure.Fields(result)))
            }, Unmanaged.passUnretained(notices).toOpaque())
        if kind == .ordinary { try settle() }
    }

    deinit { PQfinish(handle) }

    /// Names resolve to the system's own objects (CVE-2018-1058), and no setting of the role's ends long work.
    private func settle() throws(RepoError) {
        try query("SELECT pg_catalog.set_config('search_path', '', false)")
        for setting in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
            try query("SET \(setting) = 0")
        }
        try query("SET DateStyle = ISO")
    }

    public var version: PostgresVersion { PostgresVersion(number: Int(PQserverVersion(handle))) }

    /// A setting that the server reports by itself: `server_version`, `in_hot_standby` (14 and newer), …
    public func reported(_ parameter: String) -> String? {
        PQparameterStatus(handle, parameter).map { String(cString: $0) }
    }

    /// What the server said beside its answers since the last call; of very many, the first 1,000.
    public func takeNotices() -> [ServerNotice] {
        defer { notices.list = [] }
        return notices.list
    }

    // MARK: Queries

    /// Runs one statement and returns its rows. Throws `.sourceFailed` with the server's message.
    @discardableResult
    public func query(_ statement: String) throws(RepoError) -> QueryResult {
        try send(statement)
        return try answer(to: statement)
    }

    /// Runs one statement with parameters, as text; nil for NULL. Not on replication connections.
    public func query(_ statement: String, _ parameters: [String?]) throws(RepoError) -> QueryResult {
        var pointers: [UnsafePointer<CChar>?] = parameters.map { $0.map { UnsafePointer(strdup($0)) } ?? nil }
        defer {
            for pointer in pointers { free(UnsafeMutablePointer(mutating: pointer)) }
        }
        guard PQsendQueryParams(handle, statement, CInt(parameters.count), nil, &pointers, nil, nil, 0) == 1 else { throw lost() }
        try flush()
        return try answer(to: statement)
    }

    /// Runs a script of several statements, as one transaction unless it says otherwise, and returns the answers of those that have rows (SELECT, SHOW,
    /// … RETURNING), in order. The server tells its statements apart.
    ///
    /// Throws `.sourceFailed` at the first that fails, with the server's message.
    public func answers(to script: String) throws(RepoError) -> [QueryResult] {
        try send(script)
        var answers: [QueryResult] = []
        while let result = try nextResult() {
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK: answers.append(QueryResult(result))
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: PQclear(result)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                PQclear(result)
                // The connection is in the middle of a copy now, and of no more use.
                throw RepoError(.sourceFailed, "a COPY from or to the client cannot be part of a script")
            default:
                let error = refused(result, script)
                try drain()
                throw error
            }
        }
        return answers
    }

    private func answer(to statement: String) throws(RepoError) -> QueryResult {
        var kept: QueryResult?
        while let result = try nextResult() {
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
                // Replication commands answer with their rows, then with a bare completion (before PostgreSQL 14).
                let result = QueryResult(result)
                if kept == nil || result.columnCount > 0 { kept = result }
            default:
                let error = refused(result, statement)
                try drain()
                throw error
            }
        }
        guard let kept else { throw lost() }
        return kept
    }

    /// Hands a statement to the server.
    func send(_ statement: String) throws(RepoError) {
        guard PQsendQuery(handle, statement) == 1 else { throw lost() }
        try flush()
    }

    /// The next result of what was sent, owned by the caller; nil when there are no more.
    func nextResult() throws(RepoError) -> OpaquePointer? {
        while PQisBusy(handle) == 1 {
            _ = try wait(POLLIN, until: nil)
            guard PQconsumeInput(handle) == 1 else { throw lost() }
        }
        return PQgetResult(handle)
    }

    /// Lets go of results that nobody wants.
    func drain() throws(RepoError) {
        while let result = try nextResult() {
            let status = PQresultStatus(result)
            PQclear(result)
            // A copy would have to be read to its end; whoever gives up on one closes the connection.
            if status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH || status == PGRES_COPY_IN { return }
        }
    }

    /// The error that a result stands for; takes over the result.
    func refused(_ result: OpaquePointer, _ command: String) -> RepoError {
        defer { PQclear(result) }
        if PQstatus(handle) == CONNECTION_BAD { return lost() }
        let fields = ServerFailure.Fields(result)
        refusedState = fields.state
        return ServerFailure.refused(fields, command: command, target)
    }

    func lost() -> RepoError { ServerFailure.lost(String(cString: PQerrorMessage(handle)), target) }

    /// Writes out what libpq holds back.
    func flush() throws(RepoError) {
        while true {
            switch PQflush(handle) {
            case 0: return
            case 1:
                // While we cannot write, the server may be waiting for us to read.
                let ready = try wait(POLLIN | POLLOUT, until: nil)
                if ready & POLLIN != 0, PQconsumeInput(handle) != 1 { throw lost() }
            default: throw lost()
            }
        }
    }

    /// Waits for the socket; what it is ready for, or 0 when the time is over. Throws `.interrupted` when cancelled.
    func wait(_ events: CInt, until deadline: ContinuousClock.Instant?) throws(RepoError) -> CInt {
        while true {
            try cancellation?.check()
            let left = deadline.map { $0 - .now }
            if let left, left <= .zero { return poll(events, 0) }
            let ready = poll(events, left.map { CInt(min(Int64(CInt.max), $0.milliseconds + 1)) } ?? -1)
            if ready != 0 { return ready }
        }
    }

    /// 0 when nothing is ready, also after a signal.
    private func poll(_ events: CInt, _ milliseconds: CInt) -> CInt {
        var waiting = [
            pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0),
            pollfd(fd: cancellation?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        let count = Glibc.poll(&waiting, 2, milliseconds)
        guard count > 0, waiting[1].revents == 0 else { return 0 }
        // An error or hang-up is read like data: libpq tells what it is.
        let ready = CInt(waiting[0].revents)
        return ready & (POLLERR | POLLHUP | POLLNVAL) != 0 ? ready | events : ready
    }
}

extension Duration {
    var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

/// SQL's own quoting, for commands that take no parameters.
public enum SQLText {
    /// `'…'` with quotes doubled; a backslash is plain, as `standard_conforming_strings` and replication commands have it.
    public static func literal(_ text: String) -> String { "'" + text.replacingScalars { $0 == "'" ? "''" : nil } + "'" }

    /// `"…"` with quotes doubled.
    public static func identifier(_ text: String) -> String { "\"" + text.replacingScalars { $0 == "\"" ? "\"\"" : nil } + "\"" }
}
