import CLinux
import Glibc
import RepoBase

/// A server for tests, as a process of this one: ended when this one ends, in whatever way.
final class ServerProcess: Sendable {
    let folder: String
    private let process = Monitor<pid_t>(0)

    /// Where `tools/setup` has put servers, or `REPO_TEST_SERVERS`.
    static let binaries: String = {
        if let path = getenv("REPO_TEST_SERVERS") { return String(cString: path) }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let executable = length > 0 ? String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self) : ""
        for place in [executable] + CommandLine.arguments.prefix(1) {
            if let build = place.ranges(of: "/.build/").last { return place[..<build.upperBound] + "test-servers/bin" }
        }
        return ".build/test-servers/bin"
    }()

    /// - Parameters:
    ///   - program: of those that `tools/setup` installs, or a whole path.
    ///   - arguments: may use the folder, which is the working directory as well.
    init(_ program: String, folder: String, _ arguments: [String]) throws {
        self.folder = folder
        let path = program.hasPrefix("/") ? program : Self.binaries + "/" + program
        guard access(path, X_OK) == 0 else { throw RepoError(.failed, "there is no \(path)", advice: "Run tools/setup.") }
        let started = Monitor<Result<Void, RepoError>?>(nil)
        // The signal that ends the server comes when the thread that started it ends: so that one waits for the server.
        _ = Unmanaged.passRetained(
            WorkerThread { [process] in
                let words = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder, path] + arguments
                var child: pid_t = 0
                let code = Self.spawn(words, output: folder + "/log", &child)
                process.withLock { $0 = child }
                started.update { $0 = code == 0 ? .success(()) : .failure(RepoError(.failed, "\(path): \(String(cString: strerror(code)))")) }
                var status: CInt = 0
                if code == 0 { while waitpid(child, &status, 0) < 0, errno == EINTR {} }
                process.update { $0 = 0 }
            })
        try started.wait { $0 }.get()
    }

    private static func spawn(_ words: [String], output: String, _ child: inout pid_t) -> CInt {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // What other tests have open ends when they close it: libcurl's sockets are inherited otherwise.
        linux_spawn_close_from(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Programs of this package block signals; servers do not expect that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return posix_spawn(&child, words[0], &actions, &attributes, &pointers, environ)
    }

    /// Ends it at once and waits for that.
    func stop() {
        process.withLock { if $0 > 0 { kill($0, SIGKILL) } }
        process.wait { $0 == 0 ? () : nil }
    }

    /// Stops it for a while (SIGSTOP), as a machine that hangs.
    func pause() { process.withLock { if $0 > 0 { _ = kill($0, SIGSTOP) } } }
    func resume() { process.withLock { if $0 > 0 { _ = kill($0, SIGCONT) } } }

    /// Processes that it started, and those that these started.
    var descendants: [pid_t] {
        var found: [pid_t] = []
        var waiting = process.withLock { $0 > 0 ? [$0] : [] }
        while let parent = waiting.popLast() {
            let children = (try? Self.text("/proc/\(parent)/task/\(parent)/children")) ?? ""
            let some = children.split(separator: " ").compactMap { pid_t($0) }
            found += some
            waiting += some
        }
        return found
    }

    var isRunning: Bool { process.withLock { $0 > 0 } }

    static func makeFolder(_ name: String) throws -> String {
        var template = Array("/tmp/\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw RepoError(.failed, "mkdtemp: errno \(errno)") }
        return template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    static func removeFolder(_ path: String) {
        try? run(["/bin/rm", "-rf", path])
    }

    /// Waits for its end.
    static func run(_ words: [String]) throws {
        var pid: pid_t = 0
        var status: CInt = 0
        let code = spawn(words, output: "/dev/null", &pid)
        if code == 0 { while waitpid(pid, &status, 0) < 0, errno == EINTR {} }
        guard code == 0, status == 0 else { throw RepoError(.failed, "\(words[0]) failed", advice: "Run tools/setup.") }
    }

    static func text(_ path: String) throws -> String { String(decoding: try read(path), as: UTF8.self) }

    static func write(_ text: String, to path: String) throws {
        guard let stream = fopen(path, "w") else { throw RepoError(.failed, "cannot write \(path)") }
        defer { fclose(stream) }
        fputs(text, stream)
    }

    /// Waits until `isReady`, at most a minute.
    func wait(_ isReady: () throws -> Bool) throws {
        for _ in 0..<600 {
            guard isRunning else { break }
            if try isReady() { return }
            usleep(100_000)
        }
        let log = (try? String(decoding: Self.read(folder + "/log").suffix(4000), as: UTF8.self)) ?? ""
        throw RepoError(.failed, "the server did not start: \(log)")
    }

    static func read(_ path: String) throws -> [UInt8] {
        guard let stream = fopen(path, "r") else { return [] }
        defer { fclose(stream) }
        var bytes = [UInt8](repeating: 0, count: 4 << 20)
        let count = fread(&bytes, 1, bytes.count, stream)
        return Array(bytes[..<count])
    }
}

/// TCP on loopback.
enum Loopback {
    /// Ports that nobody uses now.
    static func freePorts(_ count: Int) throws -> [Int] {
        var sockets: [CInt] = []
        defer { for socket in sockets { close(socket) } }
        return try (0..<count).map { _ in
            let (socket, port) = try listener()
            sockets.append(socket)
            return port
        }
    }

    /// A socket that listens on a port of its own.
    static func listener() throws -> (socket: CInt, port: Int) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw RepoError(.failed, "socket: errno \(errno)") }
        var address = address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && listen(descriptor, 64) == 0 ? getsockname(descriptor, pointer, &length) : -1
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw RepoError(.failed, "bind: errno \(errno)")
        }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    /// Nil when nobody listens there.
    static func connect(_ port: Int) -> CInt? {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var address = address(port)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    private static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}
