import Policy
import PostgresFormats
import RepoBase
import Repository
import Storage
import WALArchive

/// What forgetting and pruning do about the log of databases.
struct LogPruning {
    private let archive: WALArchive
    private let context: CommandContext
    /// Of the command line, for every cluster.
    private let window: CalendarSpan?

    init(_ repository: OpenRepository, _ context: CommandContext, window: String?) throws {
        archive = WALArchive(repository)
        self.context = context
        self.window = try window.map { try CalendarSpan($0) }
    }

    /// Keeps the base backups that a recovery window rests on, whatever the rules say of them.
    func protecting(_ decisions: [Forgetting.Decision], _ configured: CalendarSpan?) throws -> [Forgetting.Decision] {
        guard let span = window ?? configured else { return decisions }
        let since = try context.since(span)
        var needed: Set<ObjectID> = []
        let ids = Set(decisions.map(\.entry.id))
        for (system, backups) in try archive.baseBackups() where backups.contains(where: { ids.contains($0.id) }) {
            let inventory = try archive.inventory(of: system)
            let window = RecoveryWindow(
                since: since, backups: backups, lineages: try archive.lineages(inventory, backups: backups, activeSince: since))
            needed.formUnion(window.bases.map(\.id))
        }
        return decisions.map { needed.contains($0.entry.id) ? $0.keeping(because: "the recovery window of \(span) rests on it") : $0 }
    }

    /// What became of the log, or would.
    struct Outcome {
        var objects = 0
        var segments = 0
        var bytes: UInt64 = 0
        var lines: [String] = []
        /// What nobody needs and is there: it went, or would, or waits for its lock.
        var leaving: Set<StoreKey> = []
        var locked = LogRetention.Locked()
    }

    /// Deletes what nobody needs of the log.
    /// - Parameter gone: snapshots that a dry run takes as forgotten.
    func run(isDryRun: Bool, without gone: Set<ObjectID>) throws -> Outcome {
        var outcome = Outcome()
        let backups = try archive.baseBackups()
        for system in try archive.systems() {
            let own = (backups[system] ?? []).filter { !gone.contains($0.id) }
            let inventory = try archive.inventory(of: system)
            var plan = try LogRetention(archive).plan(inventory, backups: own, window: try since(own))
            let going = try objects(of: plan)
            outcome.leaving.formUnion(going.keys)
            let locked = try LogRetention(archive).leaveLocked(in: &plan, going, now: try context.now().seconds)
            outcome.locked.objects += locked.objects
            if let until = locked.until { outcome.locked.until = max(outcome.locked.until ?? until, until) }
            for name in plan.going {
                guard let object = going[name.key(systemIdentifier: system)] else { continue }
                outcome.objects += 1
                outcome.bytes += object.size
                outcome.lines.append("\(object.key)  \(ByteCount.describe(object.size))  no base backup leads to it")
            }
            outcome.segments += plan.segments
            if !isDryRun { try LogRetention(archive).apply(plan) }
            outcome.lines.append("log of cluster \(system): \(plan.reason)")
        }
        return outcome
    }

    private func objects(of plan: LogRetention.Plan) throws -> [StoreKey: StoredObject] {
        var objects: [StoreKey: StoredObject] = [:]
        for name in plan.going {
            let key = name.key(systemIdentifier: plan.systemIdentifier)
            objects[key] = try archive.repository.store.stat(key)
        }
        return objects
    }

    /// The earliest moment that a cluster's sources promise; nil where one of them promises nothing, so that all is kept from the oldest
    /// backup on.
    private func since(_ backups: [BaseBackup]) throws -> FileTime? {
        if let window { return try context.since(window) }
        let promises = try context.promises()
        let moments = Set(backups.map(\.source)).map { promises[$0]?.since }
        return moments.contains { $0 == nil } ? nil : moments.compactMap { $0 }.min()
    }
}
