import Glibc
import RepoBase
import Storage
import StorageTesting

@testable import StorageRemote

/// OpenSSH's sftp-server without SSH, behind a pipe that does what connections do.
final class RelayedServer: Sendable {
    enum Fault: Sendable {
        case cutAnswers(after: Int)
        case cutQuestions(after: Int)
        /// A few bytes at a time.
        case drip
        case silence(after: Int)
    }

    let folder: String
    var path: String { folder + "/data" }
    private let options: SFTPStore.Options
    private let plan: @Sendable (_ connection: Int) -> Fault?
    private let connections = Monitor(0)

    init(options: SFTPStore.Options = .init(), plan: @escaping @Sendable (_ connection: Int) -> Fault? = { _ in nil }) throws {
        var template = Array("/tmp/sftp-relay-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw RepoError(.failed, "mkdtemp") }
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        self.options = options
        self.plan = plan
        mkdir(folder + "/data", 0o700)
    }

    deinit {
        remove(folder)
    }

    func removeData() { remove(path) }

    private func remove(_ path: String) {
        // What tests make is no deeper than the store's own.
        guard let channel = try? SFTPChannel(["rm", "-rf", path]) else { return }
        var byte: UInt8 = 0
        _ = recv(channel.socket, &byte, 1, 0)
        channel.end()
    }

    func write(_ name: String) throws {
        guard let stream = fopen("\(path)/\(name)", "w") else { throw RepoError(.failed, name) }
        fclose(stream)
    }

    func exists(_ name: String) -> Bool { access("\(path)/\(name)", F_OK) == 0 }

    func store(mustExist: Bool = false) -> SFTPStore {
        let server = self
        return SFTPStore(name: "sftp://relay", root: path, mustExist: mustExist, connections: 4, options: options, clock: .system) {
            () throws(SFTPFailure) in
            try SFTPSession(server.connect(), stall: server.options.stall) { _ in .lost }
        }
    }

    private func connect() throws(SFTPFailure) -> SFTPChannel {
        let program = try SFTPChannel([SSHServer.subsystem])
        let number = connections.withLock { count in
            count += 1
            return count
        }
        guard let fault = plan(number) else { return program }
        var ends: [CInt] = [-1, -1]
        guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { throw .lost }
        let (inner, outer) = (ends[0], ends[1])
        let turns = Monitor(2)
        for isAnswer in [true, false] {
            // Threads end with the connection; nothing waits for them.
            _ = Unmanaged.passRetained(
                WorkerThread {
                    Self.relay(from: isAnswer ? program.socket : inner, to: isAnswer ? inner : program.socket, fault, isAnswer)
                    _ = shutdown(inner, CInt(SHUT_RDWR))
                    program.shut()
                    let isLast = turns.withLock { turns in
                        turns -= 1
                        return turns == 0
                    }
                    if isLast {
                        close(inner)
                        program.end()
                    }
                })
        }
        return SFTPChannel(socket: outer, errors: open("/dev/null", O_RDONLY | O_CLOEXEC))
    }

    private static func relay(from source: CInt, to target: CInt, _ fault: Fault, _ isAnswer: Bool) {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        var passed = 0
        while true {
            var count = recv(source, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            var isEnd = false
            switch fault {
            case .cutAnswers(let limit) where isAnswer, .cutQuestions(let limit) where !isAnswer:
                if passed + count >= limit {
                    count = max(0, limit - passed)
                    isEnd = true
                }
            case .silence(let limit) where isAnswer:
                if passed + count > limit { continue }
            default: break
            }
            passed += count
            var sent = 0
            while sent < count {
                let part = isAnswer ? drip(fault, count - sent) : count - sent
                let result = buffer.withUnsafeBytes { send(target, $0.baseAddress! + sent, part, CInt(MSG_NOSIGNAL)) }
                guard result > 0 else { return }
                sent += result
            }
            if isEnd { return }
        }
    }

    private static func drip(_ fault: Fault, _ count: Int) -> Int {
        if case .drip = fault { min(count, 3) } else { count }
    }
}

/// A server that greets as OpenSSH does, says one thing, and ends.
final class ScriptedSFTP: Sendable {
    private let packet: [UInt8]

    init(_ packet: [UInt8]) throws { self.packet = packet }

    static func number(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
    static func text(_ text: String) -> [UInt8] { number(UInt32(text.utf8.count)) + Array(text.utf8) }

    func store() -> SFTPStore {
        let greeting = Self.number(3) + ["hardlink@openssh.com", "posix-rename@openssh.com"].flatMap { Self.text($0) + Self.text("1") }
        let bytes = Self.number(UInt32(1 + greeting.count)) + [SFTPKind.version] + greeting + packet
        return SFTPStore(name: "sftp://scripted", root: "/x", mustExist: true, connections: 1, options: .init(), clock: .system) { () throws(SFTPFailure) in
            var ends: [CInt] = [-1, -1]
            guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { throw .lost }
            let (inner, outer) = (ends[0], ends[1])
            _ = Unmanaged.passRetained(
                WorkerThread {
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    // What it says comes after the first question, as an answer to it would.
                    let head = bytes.count - self.packet.count
                    _ = recv(inner, &buffer, 9, CInt(MSG_WAITALL))
                    _ = bytes.withUnsafeBytes { send(inner, $0.baseAddress!, head, CInt(MSG_NOSIGNAL)) }
                    _ = recv(inner, &buffer, buffer.count, 0)
                    _ = self.packet.withUnsafeBytes { send(inner, $0.baseAddress!, $0.count, CInt(MSG_NOSIGNAL)) }
                    while recv(inner, &buffer, buffer.count, 0) > 0 {}
                    close(inner)
                })
            return try SFTPSession(SFTPChannel(socket: outer, errors: open("/dev/null", O_RDONLY | O_CLOEXEC)), stall: .seconds(20)) { _ in .lost }
        }
    }
}
