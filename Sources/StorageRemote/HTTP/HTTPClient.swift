import CCurl
import RepoBase

/// Sends requests over libcurl and keeps connections for the next ones.
///
/// Calls block. Each takes a handle that nobody uses, with the connections that it has open; so there are as many handles as calls at once.
/// Redirects are answers like any other: whoever signs a request decides where it goes.
final class HTTPClient: Sendable {
    struct Options: Hashable, Sendable {
        /// A file of certificates (PEM) to trust instead of the system's.
        var certificates: String?
        /// Whether the proxy variables of the environment count (`https_proxy`, `no_proxy`).
        var usesProxies = true
    }

    private let options: Options
    private let idle = Monitor<[HTTPHandle]>([])

    /// Costs nothing yet: libcurl is loaded with the first request.
    init(_ options: Options = Options()) { self.options = options }

    /// Returns once the answer is whole. Throws `HTTPFailure`.
    func send(_ request: HTTPRequest, to destination: HTTPDestination) throws(HTTPFailure) -> HTTPResponse {
        let handle: HTTPHandle
        if let known = idle.withLock({ $0.popLast() }) { handle = known } else { handle = try HTTPHandle() }
        defer { idle.withLock { $0.append(handle) } }
        return try handle.perform(request, options, destination)
    }
}

/// A handle of libcurl (`CURL`), used by one thread at a time: it is in nobody's hands but the pool's or the caller's, which is what makes
/// `@unchecked Sendable` true.
private final class HTTPHandle: @unchecked Sendable {
    private let curl: UnsafeMutableRawPointer

    init() throws(HTTPFailure) {
        if let problem = ccurl_load() {
            throw HTTPFailure(
                kind: .other, message: "libcurl is needed and cannot be loaded (\(String(cString: problem))); install the package libcurl4")
        }
        guard let curl = ccurl_easy_init() else { throw HTTPFailure(kind: .other, message: "libcurl has no memory left") }
        self.curl = curl
    }

    deinit { ccurl_easy_cleanup(curl) }

    func perform(
        _ request: HTTPRequest, _ options: HTTPClient.Options, _ destination: HTTPDestination
    ) throws(HTTPFailure) -> HTTPResponse {
        // Keeps connections, sessions and names that were looked up.
        ccurl_easy_reset(curl)
        let transfer = HTTPTransfer(body: request.body, destination: destination, errorText: .init(Int(CURL_ERROR_SIZE)))
        let context = Unmanaged.passUnretained(transfer).toOpaque()
        var headers: UnsafeMutablePointer<curl_slist>?
        defer { ccurl_slist_free_all(headers) }
        // Without "Expect", a body is sent at once instead of after an answer that may take a round trip or a second.
        for line in request.headers.map({ "\($0.name): \($0.value)" }) + ["Expect:", "Accept:"] {
            guard let longer = ccurl_slist_append(headers, line) else {
                throw HTTPFailure(kind: .other, message: "libcurl has no memory left")
            }
            headers = longer
        }
        let code = withExtendedLifetime(transfer) {
            configure(request, options)
            ccurl_set_pointer(curl, CURLOPT_HTTPHEADER, headers)
            transfer.errorText.withPointer { ccurl_set_pointer(curl, CURLOPT_ERRORBUFFER, $0) }
            for data in [CURLOPT_HEADERDATA, CURLOPT_WRITEDATA, CURLOPT_READDATA, CURLOPT_SEEKDATA] {
                ccurl_set_pointer(curl, data, context)
            }
            ccurl_set_writer(curl, CURLOPT_HEADERFUNCTION, HTTPTransfer.receiveHeader)
            ccurl_set_writer(curl, CURLOPT_WRITEFUNCTION, HTTPTransfer.receiveBody)
            ccurl_set_reader(curl, HTTPTransfer.sendBody)
            ccurl_set_seeker(curl, HTTPTransfer.seekBody)
            return ccurl_easy_perform(curl)
        }
        // A buffer that is full ends the transfer as an error of writing.
        if code == CURLE_OK || code == CURLE_WRITE_ERROR && transfer.response.isLonger { return transfer.response }
        throw failure(code, transfer)
    }

    private func configure(_ request: HTTPRequest, _ options: HTTPClient.Options) {
        ccurl_set_text(curl, CURLOPT_URL, request.url)
        ccurl_set_long(curl, CURLOPT_PATH_AS_IS, 1)
        // Threads: no signals for time-outs of the resolver.
        ccurl_set_long(curl, CURLOPT_NOSIGNAL, 1)
        ccurl_set_long(curl, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        ccurl_set_long(curl, CURLOPT_TCP_KEEPALIVE, 1)
        ccurl_set_long(curl, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        ccurl_set_long(curl, CURLOPT_BUFFERSIZE, 256 << 10)
        ccurl_set_long(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512 << 10)
        ccurl_set_long(curl, CURLOPT_CONNECTTIMEOUT_MS, request.limits.connect.milliseconds)
        ccurl_set_long(curl, CURLOPT_LOW_SPEED_TIME, Int(request.limits.stall.components.seconds))
        ccurl_set_long(curl, CURLOPT_LOW_SPEED_LIMIT, request.limits.leastBytesPerSecond)
        ccurl_set_long(curl, CURLOPT_TIMEOUT_MS, request.limits.total.milliseconds)
        if let file = options.certificates { ccurl_set_text(curl, CURLOPT_CAINFO, file) }
        if !options.usesProxies { ccurl_set_text(curl, CURLOPT_NOPROXY, "*") }
        if request.needsFreshConnection { ccurl_set_long(curl, CURLOPT_FRESH_CONNECT, 1) }
        switch request.method {
        case .get: break
        case .head: ccurl_set_long(curl, CURLOPT_NOBODY, 1)
        case .put, .post:
            ccurl_set_long(curl, CURLOPT_UPLOAD, 1)
            ccurl_set_offset(curl, CURLOPT_INFILESIZE_LARGE, request.body.count)
            if request.method == .post { ccurl_set_text(curl, CURLOPT_CUSTOMREQUEST, request.method.rawValue) }
        case .delete: ccurl_set_text(curl, CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        }
    }

    private func failure(_ code: CURLcode, _ transfer: HTTPTransfer) -> HTTPFailure {
        let text = transfer.errorText.text
        let message = text.isEmpty ? String(cString: ccurl_easy_strerror(code)) : text
        if transfer.isTooLarge {
            return HTTPFailure(kind: .tooLarge, message: "the answer is longer than allowed", partial: transfer.response)
        }
        let kind: HTTPFailure.Kind =
            switch code {
            case CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_PARTIAL_FILE, CURLE_UPLOAD_FAILED,
                CURLE_OPERATION_TIMEDOUT, CURLE_SSL_CONNECT_ERROR, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR,
                CURLE_SEND_FAIL_REWIND, CURLE_AGAIN, CURLE_PROXY, CURLE_WEIRD_SERVER_REPLY:
                .unreachable
            case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS: .untrusted
            default: .other
            }
        return HTTPFailure(kind: kind, message: message, partial: transfer.response)
    }
}

extension Duration {
    fileprivate var milliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
