/// One request of HTTP/1.1 (RFC 9112).
struct HTTPRequest {
    enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case put = "PUT"
        case post = "POST"
        case delete = "DELETE"
    }

    let method: Method
    /// With scheme, host and query, encoded.
    let url: String
    /// Without `Host` and `Content-Length`, which the library adds.
    var headers: [HTTPHeader] = []
    /// For PUT and POST. Alive while the request runs; never copied as a whole.
    var body = UnsafeRawBufferPointer(start: nil, count: 0)
    var limits = HTTPLimits.standard
    /// Takes no connection that was used before: the library sends a request again when such a connection turns out to be dead, and where
    /// there is no body, nothing tells that it did.
    var needsFreshConnection = false

    init(_ method: Method, _ url: String) {
        self.method = method
        self.url = url
    }
}

struct HTTPHeader: Hashable, Sendable {
    let name: String
    let value: String

    init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// When a request is given up.
struct HTTPLimits: Hashable, Sendable {
    /// For name, connection and TLS together.
    var connect: Duration
    /// How long less than `leastBytesPerSecond` may come through, both ways together: a stalled transfer, or a server that does not answer.
    var stall: Duration
    var leastBytesPerSecond: Int
    /// For the whole request, however much it carries.
    var total: Duration

    /// A pack of 32 MiB at the least rate takes nine hours: the whole is bounded by a day, and what no longer moves by half a minute.
    static let standard = HTTPLimits(
        connect: .seconds(15), stall: .seconds(30), leastBytesPerSecond: 1024, total: .seconds(86_400))

    /// For a service of the machine itself, which answers at once or is not there.
    static let metadata = HTTPLimits(
        connect: .seconds(1), stall: .seconds(5), leastBytesPerSecond: 1, total: .seconds(5))
}

/// Where the body of an answer goes.
enum HTTPDestination {
    /// Up to so many bytes are kept; more than that is a failure.
    case memory(atMost: Int)
    /// Straight to where they are wanted: the body of an answer 200 or 206. What does not fit is not waited for. The body of any other
    /// answer is kept as `.memory`.
    case buffer(UnsafeMutableRawBufferPointer)
}

struct HTTPResponse {
    var status = 0
    /// Of the names in lower case, the last of each; but all of `x-goog-hash`, which Google writes once for each algorithm, joined by commas.
    private(set) var headers: [String: String] = [:]
    /// What went to memory.
    var body: [UInt8] = []
    /// Bytes of the body that went to memory or into the buffer.
    var received = 0
    /// There was more than the buffer holds, or than was allowed.
    var isLonger = false
    /// The connection broke before the end.
    var wasCut = false
    /// The request was sent a second time, because the connection was dead: the first may have been answered all the same.
    var wasResent = false

    subscript(_ name: String) -> String? { headers[name] }

    mutating func add(_ line: Substring) {
        guard let colon = line.firstIndex(of: ":"), headers.count < 128 else { return }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        let name = line[..<colon].lowercased()
        headers[name] = name == "x-goog-hash" ? [headers[name], String(value)].compactMap { $0 }.joined(separator: ",") : String(value)
    }

    /// A new answer begins: what came before was an interim one (RFC 9110, section 15.2).
    mutating func begin(_ status: Int) {
        self.status = status
        headers = [:]
    }

    var isSuccess: Bool { (200...299).contains(status) }
}

/// A request without a whole answer.
struct HTTPFailure: Error {
    enum Kind {
        /// Nobody answered in time, or the connection broke: it may succeed later.
        case unreachable
        /// The server's certificate was not accepted, or the file of accepted authorities cannot be read.
        case untrusted
        /// The answer is larger than allowed.
        case tooLarge
        case other
    }

    let kind: Kind
    let message: String
    /// As far as it came.
    var partial = HTTPResponse()
}
