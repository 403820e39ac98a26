import RepoBase

/// The connections to one server: made when they are needed, given up when they break.
///
/// A server answers the questions of one connection in turn, so a small one would wait behind a transfer: those get connections of their own,
/// up to a limit.
final class SFTPPool: Sendable {
    private struct Member {
        let session: SFTPSession
        var calls = 0
        var transfers = 0
    }

    private struct State {
        var members: [Member] = []
        var opening = 0
        var limit: Int
    }

    private enum Choice {
        case use(SFTPSession)
        case open
    }

    private let connect: @Sendable () throws(SFTPFailure) -> SFTPSession
    private let state: Monitor<State>

    init(limit: Int, connect: @escaping @Sendable () throws(SFTPFailure) -> SFTPSession) {
        self.connect = connect
        state = Monitor(State(limit: limit))
    }

    /// Ends all connections.
    func close() {
        let members = state.withLock { state in
            defer { state.members = [] }
            return state.members
        }
        for member in members { member.session.close() }
    }

    /// - Parameter isTransfer: of so many bytes that others would wait for it.
    func withSession<R>(isTransfer: Bool, _ body: (SFTPSession) throws -> R) throws -> R {
        let session = try acquire(isTransfer)
        defer { release(session, isTransfer) }
        return try body(session)
    }

    private func acquire(_ isTransfer: Bool) throws(SFTPFailure) -> SFTPSession {
        while true {
            var broken: [SFTPSession] = []
            let choice = state.wait { state -> Choice? in
                broken += state.members.filter(\.session.isBroken).map(\.session)
                state.members.removeAll { $0.session.isBroken }
                let best = state.members.indices.min { first, second in
                    let first = state.members[first], second = state.members[second]
                    return (first.transfers, first.calls) < (second.transfers, second.calls)
                }
                if let best, !isTransfer || state.members[best].transfers == 0 || state.members.count + state.opening >= state.limit {
                    state.members[best].calls += 1
                    if isTransfer { state.members[best].transfers += 1 }
                    return .use(state.members[best].session)
                }
                // One connection tells whether the others are worth trying.
                guard !state.members.isEmpty || state.opening == 0 else { return nil }
                state.opening += 1
                return .open
            }
            for session in broken { session.close() }
            if case .use(let session) = choice { return session }
            do throws(SFTPFailure) {
                let session = try connect()
                state.update { state in
                    state.opening -= 1
                    state.members.append(Member(session: session, calls: 1, transfers: isTransfer ? 1 : 0))
                }
                return session
            } catch {
                // A server may take fewer connections than we would like (MaxStartups, MaxSessions); one is enough.
                let isAlone = state.update { state in
                    state.opening -= 1
                    if !state.members.isEmpty { state.limit = state.members.count }
                    return state.members.isEmpty
                }
                if isAlone { throw error }
            }
        }
    }

    private func release(_ session: SFTPSession, _ isTransfer: Bool) {
        state.update { state in
            guard let index = state.members.firstIndex(where: { $0.session === session }) else { return }
            state.members[index].calls -= 1
            if isTransfer { state.members[index].transfers -= 1 }
        }
    }
}
