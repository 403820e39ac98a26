import BlobEngine
import RepoBase

/// What this machine has verified, so that checks of a share of the data cover all of it one after the other.
///
/// A file of the cache, counted in runs rather than by a clock. For each pack: the run that verified it last, or else the run that
/// saw it first, and when it was verified, which is for people alone; packs with the lowest number are due first. A cycle of N runs takes, in each, at least one N-th of all bytes and its part of what is left
/// of the packs that were there when it began, so that these are covered by its end while packs come and go.
struct VerificationLedger {
    private static let magic = Array("repoledg".utf8)
    private static let version: UInt32 = 2
    private static let byteLimit = 1 << 30

    struct State {
        var run: UInt64 = 0
        /// The run before the cycle's first.
        var cycleStart: UInt64 = 0
        var cycleLength: UInt64 = 0
        var cycleDone: UInt64 = 0
        var runs: [ObjectID: UInt64] = [:]
        /// Seconds since 1970; verified packs alone.
        var times: [ObjectID: Int64] = [:]
    }

    private let path: String

    init(_ repository: OpenRepository) { path = repository.cacheDirectory + "/verified-packs" }

    init(path: String) { self.path = path }

    /// The packs that are due.
    func choose(_ subset: DataSubset, from packs: [PackPresence.Indexed]) -> [PackPresence.Indexed] {
        switch subset {
        case .all: return packs
        case .part(let part, let count): return packs.filter { DataSubset.isIn($0.id, part: part, of: count) }
        case .percentage(let share):
            let state = begun(load(), share: share)
            let total = packs.reduce(0) { $0 + $1.size }
            let due = packs.filter { state.runs[$0.id, default: state.run + 1] <= state.cycleStart }
                .reduce(0) { $0 + $1.size }
            let runsLeft = max(1, state.cycleLength - min(state.cycleDone, state.cycleLength))
            let quota = max(
                UInt64((Double(total) * share / 100).rounded(.up)), (due + runsLeft - 1) / runsLeft)
            return first(of: packs, bytes: quota, state)
        case .size(let bytes): return first(of: packs, bytes: bytes, load())
        }
    }

    private func first(of packs: [PackPresence.Indexed], bytes: UInt64, _ state: State) -> [PackPresence
        .Indexed]
    {
        let ordered = packs.sorted {
            let runs = (state.runs[$0.id, default: state.run + 1], state.runs[$1.id, default: state.run + 1])
            return runs.0 == runs.1 ? $0.id < $1.id : runs.0 < runs.1
        }
        var chosen: [PackPresence.Indexed] = []
        var sum: UInt64 = 0
        for pack in ordered {
            guard sum < bytes else { break }
            chosen.append(pack)
            sum += pack.size
        }
        return chosen
    }

    /// The state with a new cycle when the last one is over or was of another length.
    private func begun(_ state: State, share: Double) -> State {
        var state = state
        let length = UInt64((100 / share).rounded(.up))
        if state.cycleLength != length || state.cycleDone >= length {
            state.cycleLength = length
            state.cycleDone = 0
            state.cycleStart = state.run + 1
        }
        return state
    }

    /// Notes what a run has verified and which packs there are now. Others are forgotten.
    /// - Parameters:
    ///   - failed: were read and are not whole: whatever an earlier run found, they are not verified any more.
    ///   - time: seconds since 1970.
    ///   - onFailure: told where it cannot be written: the next run begins where this one began.
    /// - Returns: what of the packs was verified so far.
    @discardableResult
    func record(
        verified: [ObjectID], failed: [ObjectID] = [], subset: DataSubset, present: [PackPresence.Indexed], at time: Int64,
        onFailure: (RepoError) -> Void = { _ in }
    ) -> VerificationCoverage {
        var state = load()
        if case .percentage(let share) = subset { state = begun(state, share: share) }
        state.run += 1
        if case .percentage = subset { state.cycleDone += 1 }
        var runs: [ObjectID: UInt64] = [:]
        runs.reserveCapacity(present.count)
        var times: [ObjectID: Int64] = [:]
        for pack in present {
            runs[pack.id] = state.runs[pack.id] ?? state.run
            times[pack.id] = state.times[pack.id]
        }
        // After the packs first seen in this run, before those first seen in the next.
        for id in verified {
            runs[id] = state.run + 1
            times[id] = time
        }
        for id in failed { times[id] = nil }
        (state.runs, state.times) = (runs, times)
        state.run += 1
        do {
            try store(state)
        } catch {
            onFailure(error)
        }
        var coverage = VerificationCoverage()
        for pack in present {
            coverage.packs += 1
            if let time = times[pack.id] {
                coverage.verifiedPacks += 1
                coverage.since = min(coverage.since ?? time, time)
            } else if pack.isArchived {
                coverage.archivedPacks += 1
            }
        }
        return coverage
    }

    private func load() -> State {
        guard let bytes = LocalFolder.contents(path, atMost: Self.byteLimit) else { return State() }
        // A ledger that does not read only makes packs due again.
        return (try? Self.decode(bytes)) ?? State()
    }

    private func store(_ state: State) throws(RepoError) {
        var writer = ByteWriter(capacity: 64 + state.runs.count * 48)
        writer.raw(Self.magic)
        writer.u32(Self.version)
        for value in [state.run, state.cycleStart, state.cycleLength, state.cycleDone] { writer.u64(value) }
        writer.varint(state.runs.count)
        for (id, run) in state.runs {
            writer.hash(id)
            writer.u64(run)
            writer.u64(UInt64(bitPattern: state.times[id] ?? .min))
        }
        // Nothing else makes it where there is no index to keep, as in a repository that holds nothing but log.
        try LocalFolder.make(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        try LocalFolder.replace(path, with: writer.bytes)
    }

    static func decode(_ bytes: [UInt8]) throws(RepoError) -> State {
        var reader = ByteReader(bytes, object: "the ledger of verified packs")
        guard try reader.raw(8) == magic[...], try reader.u32() == version else {
            throw reader.fail("it is another file")
        }
        var state = State()
        state.run = try reader.u64()
        state.cycleStart = try reader.u64()
        state.cycleLength = try reader.u64()
        state.cycleDone = try reader.u64()
        for _ in 0..<(try reader.count(ofAtLeast: 48)) {
            let id = try reader.hash()
            state.runs[id] = try reader.u64()
            let time = Int64(bitPattern: try reader.u64())
            if time != .min { state.times[id] = time }
        }
        try reader.expectEnd()
        return state
    }
}
