import RepoBase

/// One connection to an SFTP server: any number of threads ask, without waiting for each other's answers.
///
/// A thread of its own receives, and puts contents straight to where they are wanted. After a failure nothing more is received: every question
/// fails with it. Whoever gives a destination has to wait for its answer before the memory goes.
final class SFTPSession: Sendable {
    struct Ticket {
        fileprivate let id: UInt32
    }

    private struct Pending {
        var destination: UnsafeMutableRawBufferPointer?
        var answer: SFTPAnswer?
        var isAwaited = true
    }

    private struct State {
        var nextID: UInt32 = 1
        var pending: [UInt32: Pending] = [:]
        var failure: SFTPFailure?
    }

    let abilities: SFTPAbilities
    private let channel: SFTPChannel
    private let state: Monitor<State>
    private let sending = Monitor(())
    private let receiver: WorkerThread

    /// Waits until the server has introduced itself.
    /// - Parameters:
    ///   - stall: how long an awaited answer may take before the connection counts as lost.
    ///   - failure: words the end of a connection that was none, from what the program complained about.
    init(_ channel: SFTPChannel, stall: Duration, failure: (_ words: String) -> SFTPFailure) throws(SFTPFailure) {
        let state = Monitor(State())
        var greeting = SFTPInput(channel, stall: stall, isAwaited: { true })
        do throws(SFTPFailure) {
            abilities = try Self.greet(channel, &greeting)
        } catch {
            channel.shut()
            // What a program says before its end tells more than that it ended.
            let words = greeting.lastWords()
            channel.end()
            throw error == .lost ? failure(words) : error
        }
        self.channel = channel
        self.state = state
        receiver = WorkerThread {
            var input = SFTPInput(channel, stall: stall, isAwaited: { state.withLock { state in state.pending.values.contains { $0.answer == nil } } })
            let failure: SFTPFailure
            do throws(SFTPFailure) {
                while true { try Self.receive(&input, state) }
            } catch {
                failure = error
            }
            channel.end()
            state.update { $0.failure = failure }
        }
    }

    /// Ends the connection. Questions under way fail.
    func close() {
        channel.shut()
        receiver.join()
    }

    var isBroken: Bool { state.withLock { $0.failure != nil } }

    // MARK: - Asking

    /// Sends a question; `answer(to:)` has to follow.
    /// - Parameters:
    ///   - data: what a write writes; it is sent when this returns.
    ///   - destination: where a read's bytes go.
    func ask(
        _ request: SFTPRequest, data: UnsafeRawBufferPointer = .init(start: nil, count: 0), into destination: UnsafeMutableRawBufferPointer? = nil
    ) -> Ticket {
        send(request, data, Pending(destination: destination))
    }

    /// Sends what needs no answer.
    func tell(_ request: SFTPRequest) { _ = send(request, .init(start: nil, count: 0), Pending(isAwaited: false)) }

    private func send(_ request: SFTPRequest, _ data: UnsafeRawBufferPointer, _ pending: Pending) -> Ticket {
        let id = state.withLock { state in
            while state.pending[state.nextID] != nil { state.nextID &+= 1 }
            defer { state.nextID &+= 1 }
            // After a failure nobody answers.
            if state.failure == nil { state.pending[state.nextID] = pending }
            return state.nextID
        }
        let head = Self.head(request, id, data.count)
        let isSent = sending.withLock { _ in head.withUnsafeBytes { channel.send($0, data) } }
        if !isSent { channel.shut() }
        return Ticket(id: id)
    }

    private static func head(_ request: SFTPRequest, _ id: UInt32, _ more: Int) -> [UInt8] {
        var head: [UInt8] = []
        head.reserveCapacity(9 + request.body.count)
        withUnsafeBytes(of: UInt32(5 + request.body.count + more).bigEndian) { head.append(contentsOf: $0) }
        head.append(request.kind)
        withUnsafeBytes(of: id.bigEndian) { head.append(contentsOf: $0) }
        return head + request.body
    }

    /// Waits for it. Throws when the connection fails; then nothing is written to the destination any more.
    func answer(to ticket: Ticket) throws(SFTPFailure) -> SFTPAnswer {
        try state.wait { state throws(SFTPFailure) in
            if let answer = state.pending[ticket.id]?.answer {
                state.pending[ticket.id] = nil
                return answer
            }
            if let failure = state.failure { throw failure }
            return nil
        }
    }

    func answer(_ request: SFTPRequest) throws(SFTPFailure) -> SFTPAnswer { try answer(to: ask(request)) }

    /// The status; anything else is no answer to such a question.
    func status(of ticket: Ticket) throws(SFTPFailure) -> SFTPStatus {
        guard case .status(let status) = try answer(to: ticket) else { throw .broken("no status where one is due") }
        return status
    }

    func status(_ request: SFTPRequest) throws(SFTPFailure) -> SFTPStatus { try status(of: ask(request)) }

    // MARK: - Receiving

    /// The version that both speak, and how much the server takes at once.
    private static func greet(_ channel: SFTPChannel, _ input: inout SFTPInput) throws(SFTPFailure) -> SFTPAbilities {
        func send(_ bytes: [UInt8]) throws(SFTPFailure) {
            let isSent = bytes.withUnsafeBytes { channel.send($0, .init(start: nil, count: 0)) }
            if !isSent {
                // The reason is read, not sent.
                _ = try input.read(1)
                throw .lost
            }
        }
        try send([0, 0, 0, 5, SFTPKind.initialise, 0, 0, 0, 3])
        let head = try input.read(5)
        let length = head[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard head[4] == SFTPKind.version, length >= 5, length <= SFTPFrame.longest else {
            // Most often a login script that greets.
            let text = String(decoding: head.map { $0 >= 32 && $0 < 127 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
            throw SFTPFailure(
                .failed, "the server's answer is not SFTP: it begins with '\(text)'",
                "If the user's login scripts there (.bashrc) print something, let them do so only in interactive shells.")
        }
        let body = try input.read(length - 1)
        var abilities = try parsed { () throws(RepoError) in try SFTPAbilities(version: body) }
        if abilities.hasLimits {
            try send(Self.head(.limits, 0, 0))
            let frame = try input.read(SFTPFrame.size)
            let header = try SFTPFrame(frame)
            let answer = try input.read(header.count)
            guard header.id == 0 else { throw .broken("an answer to no question") }
            if header.kind == SFTPKind.extendedReply {
                abilities = try parsed { () throws(RepoError) in
                    var changed = abilities
                    try changed.take(limits: answer)
                    return changed
                }
            }
        }
        return abilities
    }

    private static func parsed<R>(_ body: () throws(RepoError) -> R) throws(SFTPFailure) -> R {
        do throws(RepoError) { return try body() } catch { throw .broken(error.message) }
    }

    private static func receive(_ input: inout SFTPInput, _ state: Monitor<State>) throws(SFTPFailure) {
        let head = try input.read(SFTPFrame.size)
        let frame = try SFTPFrame(head)
        let pending = state.withLock { $0.pending[frame.id] }
        guard let pending, pending.answer == nil else { throw .broken("an answer to no question") }
        let answer: SFTPAnswer
        if frame.kind == SFTPKind.data {
            guard frame.count >= 4 else { throw .broken("data without a length") }
            let count = try input.read(4).reduce(0) { $0 << 8 | Int($1) }
            guard let destination = pending.destination, count == frame.count - 4, count > 0, count <= destination.count else {
                throw .broken("data that nobody asked for")
            }
            try input.read(into: UnsafeMutableRawBufferPointer(rebasing: destination[..<count]))
            answer = .data(count)
        } else {
            let body = try input.read(frame.count)
            answer = try parsed { () throws(RepoError) in try SFTPAnswer(frame.kind, body) }
        }
        state.update { state in
            if pending.isAwaited { state.pending[frame.id]?.answer = answer } else { state.pending[frame.id] = nil }
        }
    }
}
