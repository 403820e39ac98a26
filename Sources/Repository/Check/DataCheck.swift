import BlobEngine
import RepoBase

/// Reads packs in whole and verifies everything in them: the object against its name, the directory's signature, the directory against
/// the index, and every blob, which is opened, decoded and hashed.
///
/// Threads take packs in their order. A pack that is in memory is cut into slices, so that all threads share a large one; a blob's
/// dependent deltas follow it while it is in memory, wherever their packs are, so that each base is decoded about once.
final class DataCheck: Sendable {
    /// What was found. A copy is its pack's number and its ordinal.
    struct Findings {
        /// What is wrong with a pack as an object.
        var packProblems: [UInt32: [String]] = [:]
        /// Packs that are not there although the index names them.
        var missingPacks: Set<UInt32> = []
        var badCopies: [BadCopy: BadBlob] = [:]
        /// Packs of which some deltas rest on what is in an archival tier: those were not decoded.
        var halfVerified: Set<UInt32> = []
        var blobs: UInt64 = 0
        var bytesRead: UInt64 = 0
        var packs: UInt64 = 0
    }

    struct BadCopy: Hashable {
        let pack: UInt32
        let ordinal: UInt32
    }

    struct BadBlob {
        let id: BlobID
        let problem: String
        /// It is whole itself, but what it rests on is not there.
        let lacksBase: Bool
    }

    /// A pack at work. Its buffer is written before it is shared and only read from then on.
    final class LoadedPack: Sendable {
        let number: UInt32
        /// Nil for a pack too large to be held.
        let buffer: AlignedBuffer?
        /// All blobs but deltas.
        let roots: [BlobRecord]
        private let spare: PackBuffers

        init(number: UInt32, buffer: AlignedBuffer?, roots: [BlobRecord], spare: PackBuffers) {
            self.number = number
            self.buffer = buffer
            self.roots = roots
            self.spare = spare
        }

        deinit { if let buffer { spare.give(buffer) } }
    }

    enum Job {
        case load(UInt32)
        case slice(LoadedPack, Range<Int>)
        /// Deltas that no base led to, by their place among the dependents.
        case leftovers(Range<Int>)
    }

    private struct Schedule {
        var slices: [Job] = []
        var firstSlice = 0
        var nextPack = 0
        var loading = 0
        var nextLeftover: Int?
        var failure: RepoError?
    }

    static let memoryLimitOfPack = 48 << 20
    private static let leftoversPerJob = 128

    let repository: OpenRepository
    let numbering: PackNumbering
    let dependents: DependentDeltas
    let progress: CheckProgress
    let packBuffers = PackBuffers()
    private let packs: [UInt32]
    private let isSelected: [Bool]
    private let threads: Int
    private let schedule = Monitor(Schedule())
    private let findings = Monitor(Findings())
    private let visited = Monitor<[UInt64]>([])

    /// - Parameter packs: numbers of packs that are in the store.
    init(
        _ repository: OpenRepository, _ numbering: PackNumbering, packs: [UInt32], threads: Int,
        progress: CheckProgress
    ) {
        self.repository = repository
        self.numbering = numbering
        self.packs = packs
        self.threads = max(1, threads)
        self.progress = progress
        var isSelected = [Bool](repeating: false, count: numbering.packs.count)
        for pack in packs { isSelected[Int(pack)] = true }
        self.isSelected = isSelected
        dependents = DependentDeltas(numbering, isSelected: isSelected)
    }

    /// Throws what ends a check: a store that cannot be reached, a key that cannot read. Damage is in the findings.
    func run() throws -> Findings {
        visited.withLock { $0 = [UInt64](repeating: 0, count: (dependents.entries.count + 63) / 64) }
        progress.update { values in
            values.packsToVerify = UInt64(packs.count)
            values.bytesToRead = packs.reduce(0) { $0 + numbering.packs[Int($1)].size }
        }
        try runWorkers()
        schedule.withLock { $0.nextLeftover = 0 }
        if visited.withLock({ words in dependents.entries.indices.contains { !Self.isSet($0, words) } }) {
            try runWorkers()
        }
        return findings.withLock { $0 }
    }

    private func runWorkers() throws {
        let workers = (0..<threads).map { _ in
            WorkerThread { [self] in DataCheckWorker(self, threads: threads).run() }
        }
        for worker in workers { worker.join() }
        if let failure = schedule.withLock({ $0.failure }) { throw failure }
    }

    func nextJob() -> Job? {
        schedule.wait { schedule -> Job?? in
            if schedule.failure != nil { return .some(nil) }
            if schedule.firstSlice < schedule.slices.count {
                let job = schedule.slices[schedule.firstSlice]
                schedule.firstSlice += 1
                if schedule.firstSlice == schedule.slices.count {
                    schedule.slices.removeAll()
                    schedule.firstSlice = 0
                }
                return .some(job)
            }
            if schedule.nextPack < packs.count {
                schedule.nextPack += 1
                schedule.loading += 1
                return .some(.load(packs[schedule.nextPack - 1]))
            }
            if schedule.loading > 0 { return nil }
            if let next = schedule.nextLeftover, next < dependents.entries.count {
                let end = min(next + Self.leftoversPerJob, dependents.entries.count)
                schedule.nextLeftover = end
                return .some(.leftovers(next..<end))
            }
            return .some(nil)
        } ?? nil
    }

    func finishLoading(_ slices: [Job]) {
        schedule.update { schedule in
            schedule.loading -= 1
            schedule.slices += slices
        }
    }

    func fail(_ error: any Error) {
        schedule.update { schedule in
            schedule.failure = schedule.failure ?? (error as? RepoError) ?? RepoError(.failed, "\(error)")
        }
    }

    func record(_ change: (inout Findings) -> Void) { findings.withLock { change(&$0) } }

    func merge(visited words: [UInt64]) {
        visited.withLock { all in for index in words.indices { all[index] |= words[index] } }
    }

    func visitedWords() -> [UInt64] { visited.withLock { $0 } }

    static func isSet(_ index: Int, _ words: [UInt64]) -> Bool {
        words[index >> 6] >> UInt64(index & 63) & 1 == 1
    }
}
