import CLinux
import Glibc
import RepoBase

/// A program whose standard input and output are one socket of ours, which speaks SFTP.
///
/// It has a session of its own, so that an interrupt from the terminal reaches us and not the connection that we still need to end well.
/// One thread receives; others send, one at a time; any may shut it.
final class SFTPChannel: Sendable {
    let socket: CInt
    /// Where the program's complaints come.
    let errors: CInt
    private let process: pid_t

    /// Starts the program. Throws `.failed` where it cannot be started.
    init(_ words: [String]) throws(SFTPFailure) {
        var ends: [CInt] = [-1, -1], complaints: [CInt] = [-1, -1]
        guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { throw Self.failure(words[0], errno) }
        guard linux_pipe_cloexec(&complaints) == 0 else {
            let number = errno
            for end in ends { close(end) }
            throw Self.failure(words[0], number)
        }
        var size: CInt = 1 << 20
        for end in ends {
            setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
            setsockopt(end, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, complaints[1], 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        // 0x80 is POSIX_SPAWN_SETSID, which glibc hides behind _GNU_SOURCE.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) | 0x80)
        var arguments = words.map { strdup($0) } + [nil]
        var variables = ChildEnvironment.variables().map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var child = pid_t()
        let result = posix_spawnp(&child, words[0], &actions, &attributes, &arguments, &variables)
        close(ends[1])
        close(complaints[1])
        guard result == 0 else {
            close(ends[0])
            close(complaints[0])
            throw Self.failure(words[0], result)
        }
        socket = ends[0]
        errors = complaints[0]
        process = child
    }

    /// For tests: a socket without a program.
    init(socket: CInt, errors: CInt) {
        self.socket = socket
        self.errors = errors
        process = 0
    }

    deinit {
        close(socket)
        close(errors)
    }

    private static func failure(_ program: String, _ number: CInt) -> SFTPFailure {
        SFTPFailure(
            .failed, "'\(program)' cannot be started: \(String(cString: strerror(number)))", "Install OpenSSH's client (openssh-client), or set REPO_SSH_COMMAND.")
    }

    /// Both directions end: whoever sends or receives learns it at once.
    func shut() { _ = shutdown(socket, CInt(SHUT_RDWR)) }

    /// Sends all of both; false when the connection is gone.
    func send(_ head: UnsafeRawBufferPointer, _ data: UnsafeRawBufferPointer) -> Bool {
        var sent = 0
        while sent < head.count + data.count {
            var parts: [iovec] = []
            for (bytes, skipped) in [(head, sent), (data, max(0, sent - head.count))] where skipped < bytes.count {
                parts.append(iovec(iov_base: .init(mutating: bytes.baseAddress! + skipped), iov_len: bytes.count - skipped))
            }
            let count = parts.withUnsafeMutableBufferPointer { parts in
                var message = msghdr()
                message.msg_iov = parts.baseAddress
                message.msg_iovlen = parts.count
                return sendmsg(socket, &message, CInt(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            sent += count
        }
        return true
    }

    /// Ends the program, first kindly, and waits for that. Its connection is of no use any more.
    func end() {
        shut()
        guard process > 0 else { return }
        kill(process, SIGTERM)
        var status: CInt = 0
        for turn in 0..<2000 {
            let result = waitpid(process, &status, WNOHANG)
            if result == process || result < 0 && errno != EINTR { return }
            if turn == 1000 { kill(process, SIGKILL) }
            usleep(2000)
        }
    }
}

/// What comes from a channel, for the one thread that receives.
struct SFTPInput {
    private let channel: SFTPChannel
    private let stall: Duration
    /// Whether answers are awaited: only then silence means something.
    private let isAwaited: () -> Bool
    private let buffer = AlignedBuffer(capacity: bufferBytes)
    private static let bufferBytes = 64 << 10
    private var filled = 0..<0
    /// The last of what the program complained about.
    private(set) var complaints: [UInt8] = []
    private var hasErrors = true
    private static let keptComplaints = 8 << 10

    init(_ channel: SFTPChannel, stall: Duration, isAwaited: @escaping () -> Bool) {
        self.channel = channel
        self.stall = stall
        self.isAwaited = isAwaited
    }

    /// Fills the destination. Throws `.lost` at the channel's end, and when nothing came for as long as `stall`.
    mutating func read(into destination: UnsafeMutableRawBufferPointer) throws(SFTPFailure) {
        var done = 0
        while done < destination.count {
            if filled.isEmpty {
                // Large parts go straight to where they are wanted.
                if destination.count - done >= Self.bufferBytes {
                    done += try receive(UnsafeMutableRawBufferPointer(rebasing: destination[done...]))
                    continue
                }
                filled = 0..<(try receive(UnsafeMutableRawBufferPointer(start: buffer.base, count: Self.bufferBytes)))
            }
            let count = min(filled.count, destination.count - done)
            withExtendedLifetime(buffer) { destination.baseAddress!.advanced(by: done).copyMemory(from: buffer.base + filled.lowerBound, byteCount: count) }
            filled = (filled.lowerBound + count)..<filled.upperBound
            done += count
        }
    }

    mutating func read(_ count: Int) throws(SFTPFailure) -> [UInt8] {
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count), alignment: 16)
        defer { space.deallocate() }
        try read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<count]))
        return Array(space[..<count])
    }

    private mutating func receive(_ space: UnsafeMutableRawBufferPointer) throws(SFTPFailure) -> Int {
        var silence = Duration.zero
        let tick = min(stall, .seconds(1))
        while true {
            var sources = [pollfd(fd: channel.socket, events: Int16(POLLIN), revents: 0), pollfd(fd: hasErrors ? channel.errors : -1, events: Int16(POLLIN), revents: 0)]
            let ready = poll(&sources, 2, CInt(tick / .milliseconds(1)))
            if ready < 0, errno != EINTR { throw .lost }
            if ready <= 0 {
                silence = isAwaited() ? silence + tick : .zero
                if silence >= stall {
                    throw SFTPFailure(.unreachable, "the server has said nothing for \(stall.components.seconds) seconds", "Check the server and the network, then run again.")
                }
                continue
            }
            if sources[1].revents != 0 { takeComplaints() }
            if sources[0].revents != 0 {
                let count = recv(channel.socket, space.baseAddress, space.count, CInt(MSG_DONTWAIT))
                if count > 0 { return count }
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                throw .lost
            }
        }
    }

    private mutating func takeComplaints() {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(channel.errors, &bytes, bytes.count)
        if count <= 0 { hasErrors = false } else { complaints = (complaints + bytes[..<count]).suffix(Self.keptComplaints) }
    }

    /// What the program says when it ends, until it has or a second has passed.
    mutating func lastWords() -> String {
        for _ in 0..<10 where hasErrors {
            var source = pollfd(fd: channel.errors, events: Int16(POLLIN), revents: 0)
            if poll(&source, 1, 100) > 0 { takeComplaints() }
        }
        return String(decoding: complaints, as: UTF8.self)
    }
}
