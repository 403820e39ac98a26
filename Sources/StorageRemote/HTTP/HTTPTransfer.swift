import CCurl
import RepoBase

/// What libcurl asks for and tells while one request runs: all on the thread that runs it.
final class HTTPTransfer {
    private let body: UnsafeRawBufferPointer
    private var sent = 0
    private let destination: HTTPDestination
    let errorText: HTTPErrorText
    private(set) var response = HTTPResponse()
    private(set) var isTooLarge = false

    /// Enough for any answer that says what is wrong.
    private static let errorBytes = 64 << 10

    init(body: UnsafeRawBufferPointer, destination: HTTPDestination, errorText: HTTPErrorText) {
        self.body = body
        self.destination = destination
        self.errorText = errorText
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> HTTPTransfer {
        Unmanaged<HTTPTransfer>.fromOpaque(context!).takeUnretainedValue()
    }

    /// CURLOPT_HEADERFUNCTION: one line at a time, with its end.
    static let receiveHeader: curl_write_callback = { text, size, count, context in
        let bytes = UnsafeRawBufferPointer(start: text, count: size * count)
        var line = Substring(String(decoding: bytes, as: UTF8.self))
        while let last = line.unicodeScalars.last, last == "\r" || last == "\n" { line.unicodeScalars.removeLast() }
        let transfer = from(context)
        if line.hasPrefix("HTTP/") {
            let words = line.split(separator: " ", maxSplits: 2)
            transfer.response.begin(words.count > 1 ? Int(words[1]) ?? 0 : 0)
        } else {
            transfer.response.add(line)
        }
        return size * count
    }

    /// CURLOPT_WRITEFUNCTION: any other count than that of the bytes ends the transfer.
    static let receiveBody: curl_write_callback = { bytes, size, count, context in
        from(context).receive(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !bytes.isEmpty else { return true }
        switch destination {
        case .buffer(let buffer) where response.status == 200 || response.status == 206:
            let count = min(bytes.count, buffer.count - response.received)
            if count > 0 {
                UnsafeMutableRawBufferPointer(rebasing: buffer[response.received...]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            }
            response.received += count
            response.isLonger = count < bytes.count
            return !response.isLonger
        case .buffer: return keep(bytes, atMost: Self.errorBytes)
        case .memory(let limit): return keep(bytes, atMost: response.isSuccess ? limit : Self.errorBytes)
        }
    }

    private func keep(_ bytes: UnsafeRawBufferPointer, atMost limit: Int) -> Bool {
        guard response.body.count + bytes.count <= limit else {
            isTooLarge = true
            return false
        }
        // A server's word for the length, within what is allowed: one allocation instead of several.
        if response.body.isEmpty, let length = response["content-length"].flatMap({ Int($0) }), length > bytes.count, length <= limit {
            response.body.reserveCapacity(length)
        }
        response.body.append(contentsOf: bytes)
        response.received += bytes.count
        return true
    }

    /// CURLOPT_READFUNCTION.
    static let sendBody: curl_read_callback = { place, size, count, context in
        let transfer = from(context)
        let count = min(size * count, transfer.body.count - transfer.sent)
        if count > 0, let place {
            UnsafeMutableRawPointer(place).copyMemory(from: transfer.body.baseAddress! + transfer.sent, byteCount: count)
            transfer.sent += count
        }
        return count
    }

    /// CURLOPT_SEEKFUNCTION: asked to begin again when a connection that was kept turned out to be dead.
    static let seekBody: curl_seek_callback = { context, offset, origin in
        let transfer = from(context)
        guard origin == SEEK_SET, offset >= 0, offset <= transfer.body.count else { return CInt(CURL_SEEKFUNC_CANTSEEK) }
        transfer.sent = Int(offset)
        transfer.response.wasResent = true
        return CInt(CURL_SEEKFUNC_OK)
    }
}

/// Where libcurl writes what went wrong (CURLOPT_ERRORBUFFER).
final class HTTPErrorText {
    private let buffer: UnsafeMutablePointer<CChar>

    init(_ capacity: Int) {
        buffer = .allocate(capacity: capacity)
        buffer.initialize(repeating: 0, count: capacity)
    }

    deinit { buffer.deallocate() }

    func withPointer(_ body: (UnsafeMutableRawPointer) -> Void) { body(UnsafeMutableRawPointer(buffer)) }

    var text: String { String(cString: buffer) }
}
