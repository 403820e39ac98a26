import CLinux
import Glibc
import RepoBase

@testable import StorageTesting

/// A server that answers each request as a function of its first line and headers: for services that no program offers here.
final class ScriptedHTTP: Sendable {
    struct Request: Sendable {
        let method: String
        let target: String
        let headers: [String: String]
    }

    let port: Int
    private let listener: CInt
    private let seen = Monitor<[Request]>([])
    private let thread: WorkerThread

    init(_ answer: @escaping @Sendable (Request) -> (status: Int, headers: String, body: String)) throws {
        let (listener, port) = try Loopback.listener()
        self.listener = listener
        self.port = port
        let seen = seen
        thread = WorkerThread {
            while case let client = linux_accept_cloexec(listener), client >= 0 {
                let stream = HTTPStream(client)
                while let head = stream.head(), stream.body(head, isAnswer: false, method: "") != nil {
                    let words = head.first.split(separator: " ").map(String.init)
                    let request = Request(method: words[0], target: words[1], headers: head.headers)
                    seen.withLock { $0.append(request) }
                    let (status, headers, body) = answer(request)
                    let text = "HTTP/1.1 \(status) Scripted\r\n\(headers)Connection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    _ = HTTPStream.write(client, Array(text.utf8))
                    break
                }
                shutdown(client, CInt(SHUT_RDWR))
                close(client)
            }
        }
    }

    var requests: [Request] { seen.withLock { $0 } }
    var origin: String { "http://127.0.0.1:\(port)" }

    func stop() {
        shutdown(listener, CInt(SHUT_RDWR))
        thread.join()
        close(listener)
    }
}
