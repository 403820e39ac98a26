import CLinux
import Glibc
import RepoBase

/// What a proxy does to one request.
public enum ProxyFault: Hashable, Sendable {
    /// The connection is reset before the server learns of the request.
    case resetBefore
    /// The server does its work, and its answer is lost with the connection.
    case loseAnswer
    /// So many bytes of the answer's body arrive, then the connection is reset.
    case cutAnswer(after: Int)
    /// The server is not asked; this status comes instead, as from a load balancer.
    case answer(status: Int)
    /// The server is asked twice, and its second answer arrives.
    case duplicate
    /// A bit of the request's body is flipped on its way.
    case damageBody
    /// A bit of the answer's body is flipped on its way, at another place for each request.
    case damageAnswer
    /// The answer's body comes in pieces of so many bytes, with a pause after each.
    case drip(bytes: Int, pause: Double)
    /// The answer begins so many seconds later.
    case delay(seconds: Double)
    /// Nothing comes, until the client gives up or the proxy stops.
    case hang
}

/// A proxy for HTTP/1.1 on loopback that counts requests and does to some of them what networks do.
public final class FaultProxy: Sendable {
    public struct Request: Sendable {
        public let method: String
        /// With the query.
        public let target: String
        /// 1 for the first.
        public let ordinal: Int
    }

    /// Decides for each request, on the connection's thread.
    public typealias Plan = @Sendable (Request) -> ProxyFault?

    public let port: Int
    private let upstream: Int
    private let plan: Plan
    /// Added to every request, in seconds.
    private let latency: Double
    private let listener: CInt
    private struct State {
        var requests: [Request] = []
        var sockets: Set<CInt> = []
        var isStopped = false
        var running = 0
        /// Of connections, by number; and those that have ended and are to be joined: long runs have more of them than a process may have threads.
        var threads: [Int: WorkerThread] = [:]
        var ended: [Int] = []
    }
    private let state = Monitor(State())

    public init(to upstream: Int, latency: Double = 0, plan: @escaping Plan = { _ in nil }) throws {
        (listener, port) = try Loopback.listener()
        self.upstream = upstream
        self.latency = latency
        self.plan = plan
        state.withLock { $0.running = 1 }
        // The threads end with `stop`, and are joined by nobody.
        _ = Unmanaged.passRetained(WorkerThread { [self] in accept() })
    }

    public var requests: [Request] { state.withLock { $0.requests } }
    public func reset() { state.withLock { $0.requests = [] } }

    /// Breaks every connection and takes no more.
    public func stop() {
        state.withLock { state in
            state.isStopped = true
            for socket in state.sockets { shutdown(socket, CInt(SHUT_RDWR)) }
        }
        shutdown(listener, CInt(SHUT_RDWR))
        state.wait { $0.running == 0 ? () : nil }
        joinEnded()
    }

    private func joinEnded() {
        let ended = state.withLock { state in
            let known = state.ended.filter { state.threads[$0] != nil }
            state.ended.removeAll(where: known.contains)
            return known.compactMap { state.threads.removeValue(forKey: $0) }
        }
        for thread in ended { thread.join() }
    }

    private func accept() {
        var connections = 0
        while true {
            // A server that a test starts meanwhile must not keep this connection open.
            let client = linux_accept_cloexec(listener)
            if client < 0, errno == EINTR { continue }
            guard client >= 0, enter(client) else { break }
            let number = connections
            connections += 1
            let thread = WorkerThread { [self] in
                serve(client)
                leave(client, number)
            }
            state.withLock { $0.threads[number] = thread }
            joinEnded()
        }
        close(listener)
        state.update { $0.running -= 1 }
    }

    private func enter(_ socket: CInt) -> Bool {
        state.withLock { state in
            guard !state.isStopped else {
                close(socket)
                return false
            }
            state.sockets.insert(socket)
            state.running += 1
            return true
        }
    }

    private func leave(_ socket: CInt, _ number: Int) {
        state.update { state in
            state.ended.append(number)
            state.sockets.remove(socket)
            state.running -= 1
        }
        close(socket)
    }

    /// Requests of one connection, one after the other, over one connection to the server.
    private func serve(_ client: CInt) {
        let server = Loopback.connect(upstream)
        defer { if let server { close(server) } }
        guard let server else { return }
        let fromClient = HTTPStream(client)
        let fromServer = HTTPStream(server)
        while let head = fromClient.head(), let body = fromClient.body(head, isAnswer: false, method: "") {
            let words = head.first.split(separator: " ")
            guard words.count == 3 else { return }
            let request = state.withLock { state in
                let request = Request(method: String(words[0]), target: String(words[1]), ordinal: state.requests.count + 1)
                state.requests.append(request)
                return request
            }
            if latency > 0 { usleep(UInt32(latency * 1e6)) }
            var sent = body
            var cut: Int?
            var losesAnswer = false
            var copies = 1
            var damagesAnswer = false
            var drip: (bytes: Int, pause: Double)?
            switch plan(request) {
            case .resetBefore: return abort(client)
            case .answer(let status):
                guard HTTPStream.write(client, Array("HTTP/1.1 \(status) Fault\r\nContent-Length: 0\r\n\r\n".utf8)) else { return }
                continue
            case .hang:
                state.wait { $0.isStopped ? () : nil }
                return
            case .delay(let seconds): usleep(UInt32(seconds * 1e6))
            case .damageBody: if !sent.isEmpty { sent[sent.count / 2] ^= 4 }
            case .damageAnswer: damagesAnswer = true
            case .drip(let bytes, let pause): drip = (bytes, pause)
            case .duplicate: copies = 2
            case .loseAnswer: losesAnswer = true
            case .cutAnswer(let count): cut = count
            case nil: break
            }
            for copy in 1...copies {
                guard HTTPStream.write(server, head.bytes + sent), let answer = fromServer.head(),
                    var content = fromServer.body(answer, isAnswer: true, method: request.method)
                else { return abort(client) }
                if copy < copies { continue }
                if losesAnswer { return abort(client) }
                // Of a chunked one the length of the first chunk might be hit, which is no body.
                if damagesAnswer, !content.isEmpty, answer.headers["transfer-encoding"] == nil {
                    content[Int(UInt32(truncatingIfNeeded: request.ordinal) &* 2_654_435_761) % content.count] ^= 4
                }
                if let drip {
                    guard HTTPStream.write(client, answer.bytes), pour(content, drip, into: client) else { return }
                    continue
                }
                guard HTTPStream.write(client, answer.bytes), HTTPStream.write(client, Array(content.prefix(cut ?? content.count))) else { return }
                if cut != nil { return abort(client) }
            }
        }
    }

    /// Ends early when the proxy stops.
    private func pour(_ content: [UInt8], _ drip: (bytes: Int, pause: Double), into client: CInt) -> Bool {
        var rest = content[...]
        while !rest.isEmpty {
            guard !state.withLock({ $0.isStopped }), HTTPStream.write(client, Array(rest.prefix(drip.bytes))) else { return false }
            rest = rest.dropFirst(drip.bytes)
            usleep(UInt32(drip.pause * 1e6))
        }
        return true
    }

    /// Closing with something unread resets the connection; so does a linger of no time.
    private func abort(_ socket: CInt) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
}

/// Messages of HTTP/1.1 read from a socket.
final class HTTPStream {
    struct Head {
        let bytes: [UInt8]
        let first: String
        let headers: [String: String]
    }

    private let socket: CInt
    private var buffer: [UInt8] = []

    init(_ socket: CInt) { self.socket = socket }

    private func fill() -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 1) { space in
            var got = read(socket, space.baseAddress, space.count)
            while got < 0, errno == EINTR { got = read(socket, space.baseAddress, space.count) }
            if got > 0 { buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: space[..<got])) }
            return got > 0
        }
    }

    private func take(_ count: Int) -> [UInt8]? {
        while buffer.count < count { guard fill() else { return nil } }
        let taken = Array(buffer[..<count])
        buffer.removeFirst(count)
        return taken
    }

    private func line(from start: Int) -> Int? {
        var at = start
        while true {
            while at + 1 < buffer.count {
                if buffer[at] == 13, buffer[at + 1] == 10 { return at + 2 }
                at += 1
            }
            guard fill() else { return nil }
        }
    }

    func head() -> Head? {
        var lines: [String] = []
        var at = 0
        while let end = line(from: at) {
            if end == at + 2 {
                guard let bytes = take(end), let first = lines.first else { return nil }
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
                }
                return Head(bytes: bytes, first: first, headers: headers)
            }
            lines.append(String(decoding: buffer[at..<end - 2], as: UTF8.self))
            at = end
        }
        return nil
    }

    /// As it was sent, chunks and all.
    func body(_ head: Head, isAnswer: Bool, method: String) -> [UInt8]? {
        if isAnswer {
            let status = head.first.split(separator: " ").dropFirst().first ?? ""
            if method == "HEAD" || status == "204" || status == "304" { return [] }
        }
        if head.headers["transfer-encoding"]?.lowercased() == "chunked" {
            var whole: [UInt8] = []
            while let end = line(from: 0) {
                let size = Int(String(decoding: buffer[..<(end - 2)], as: UTF8.self), radix: 16) ?? 0
                guard let chunk = take(end + size + 2) else { return nil }
                whole += chunk
                if size == 0 { return whole }
            }
            return nil
        }
        return take(Int(head.headers["content-length"] ?? "0") ?? 0)
    }

    static func write(_ socket: CInt, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { send(socket, $0.baseAddress! + sent, bytes.count - sent, CInt(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
