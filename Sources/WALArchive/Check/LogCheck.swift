import BlobEngine
import PostgresFormats
public import RepoBase
public import Repository
import Storage

/// Verifies the log of every cluster: that each object is what its name says, that no base backup lacks its own log, and where asked that
/// everything opens and has its identity, and that the log which base backups brought along is log (`OwnLogCheck`).
public struct LogCheck: Sendable {
    private let archive: WALArchive
    private let data: DataSubset?
    private let source: String?
    private let threads: Int
    private let progress: CheckProgress

    /// - Parameters:
    ///   - data: which objects are read in whole, and which base backups' own log; nil: none. A share or a size is drawn by lot; the log
    ///     of base backups is their snapshots' too and not counted in a size.
    ///   - source: only clusters that this source has base backups of.
    public init(
        _ archive: WALArchive, data: DataSubset? = nil, source: String? = nil, threads: Int = availableProcessors(),
        progress: CheckProgress = CheckProgress()
    ) {
        (self.archive, self.data, self.source, self.threads, self.progress) = (archive, data, source, threads, progress)
    }

    private struct Found {
        var errors: [Damage] = []
        var bytesRead: UInt64 = 0
        /// Identities of segments, to find one that stands in two objects with different content.
        var identities: [String: (identity: Hash256, object: String)] = [:]
    }

    /// Damage is in the report. Throws `.wrongKey` for a writer key, and what the store throws when it fails. Opening costs a third of a
    /// millisecond for each object, on each thread.
    public func run() throws -> CheckReport {
        guard archive.repository.keys.role == .full else {
            throw RepoError(.wrongKey, "a writer key cannot check the log", advice: "Use a full key.")
        }
        var backups: [UInt64: [BaseBackup]] = [:]
        var roots: [ObjectID: BlobID] = [:]
        var report = CheckReport()
        // Damaged snapshots are named by the check of the repository.
        for entry in try SnapshotCatalog(archive.repository).all(onProblem: { _, _ in }) {
            do {
                guard let backup = try BaseBackup(entry) else { continue }
                backups[backup.facts.systemIdentifier, default: []].append(backup)
                if backup.facts.includesLog { roots[backup.id] = entry.snapshot.root }
            } catch {
                guard source.map({ $0 == entry.snapshot.source }) ?? true else { continue }
                var damage = Damage(object: "snapshots/\(entry.id)", kind: .snapshot, problem: error.reason(about: "snapshots/\(entry.id)"))
                damage.snapshots = [entry.id]
                report.errors.append(damage)
            }
        }
        let seen = archive.repository.freshness?.clusters ?? []
        for system in Set(try archive.systems()).union(backups.keys).union(seen).sorted() {
            let own = backups[system] ?? []
            if let source, !own.contains(where: { $0.source == source }) { continue }
            try check(system, own, &report)
            for backup in own where source.map({ $0 == backup.source }) ?? true {
                guard let root = roots[backup.id], isChosen(backup) else { continue }
                try checkOwnLog(of: backup, root, &report)
            }
        }
        return report
    }

    private func checkOwnLog(of backup: BaseBackup, _ root: BlobID, _ report: inout CheckReport) throws {
        let (problems, bytes) = try OwnLogCheck(repository: archive.repository, backup: backup, root: root).run()
        report.bytesRead += bytes
        for problem in problems {
            var damage = Damage(object: "snapshots/\(backup.id)", kind: .log, problem: problem)
            damage.snapshots = [backup.id]
            report.errors.append(damage)
        }
    }

    private func isChosen(_ backup: BaseBackup) -> Bool {
        switch data {
        case nil, .size: false
        case .all: true
        case .part(let part, let count): backup.id.word3 % UInt64(count) == UInt64(part - 1)
        case .percentage(let share): Double.random(in: 0..<100) < share
        }
    }

    /// What this machine has seen and is gone.
    private func compare(_ system: UInt64, _ keys: [StoreKey], since before: SeenState, _ report: inout CheckReport) throws {
        let newest = keys.compactMap { key in
            WALObjectName.parse(key).flatMap { $0.systemIdentifier == system ? $0.name.lastDigits : nil }.map { (key: key, last: $0) }
        }
        let watch = archive.repository.freshness
        try watch?.compareLog(ofCluster: system, newest, since: before, archive.repository) { try archive.newestNames(of: system) }
        for finding in watch?.findings ?? [] where finding.object.hasPrefix("wal/\(system)/") {
            report.errors.append(Damage(object: finding.object, kind: .log, problem: finding.problem))
        }
    }

    private func check(_ system: UInt64, _ backups: [BaseBackup], _ report: inout CheckReport) throws {
        var objects: [StoredObject] = []
        let before = archive.repository.freshness?.memory()
        try archive.store.list("wal/\(system)/") { objects.append($0) }
        if let before { try compare(system, objects.map(\.key), since: before, &report) }
        objects.sort { $0.key < $1.key }
        report.objects += UInt64(objects.count)
        let chosen = choose(objects)
        progress.update { values in values.bytesToRead += chosen.reduce(0) { $0 + objects[$1].size } }
        let found = Monitor(Found())
        let listed = objects
        try ParallelWork.run(listed.count, threads: threads, worker: {}) { number, _ in
            try look(at: listed[number], system, backups, readsData: chosen.contains(number), found)
        }
        var result = found.withLock { $0 }
        if let inventory = try inventory(system) {
            result.errors += missing(system, backups, inventory)
            // Their own log is told apart, as damage.
            for gap in try losses(inventory, backups) where !result.errors.contains(where: { $0.object.hasSuffix("/\(gap.first)") }) {
                let through = gap.segments == 1 ? "" : " to \(gap.last)"
                report.logGaps.append(.init(system: system, timeline: gap.timeline, segments: "\(gap.first)\(through)", cause: gap.cause))
            }
        }
        report.errors += result.errors.sorted { $0.object < $1.object }
        report.bytesRead += result.bytesRead
    }

    /// The numbers of the objects that are read in whole.
    private func choose(_ objects: [StoredObject]) -> Set<Int> {
        switch data {
        case nil: return []
        case .all: return Set(objects.indices)
        case .part(let part, let count):
            return Set(objects.indices.filter { ObjectHasher.hash(Array(objects[$0].key.description.utf8)).word3 % UInt64(count) == UInt64(part - 1) })
        case .percentage(let share):
            return draw(objects, bytes: UInt64(Double(objects.reduce(0) { $0 + $1.size }) * share / 100))
        case .size(let size): return draw(objects, bytes: size)
        }
    }

    private func draw(_ objects: [StoredObject], bytes: UInt64) -> Set<Int> {
        var chosen: Set<Int> = []
        var total: UInt64 = 0
        for number in objects.indices.shuffled() where total < bytes {
            chosen.insert(number)
            total += objects[number].size
        }
        return chosen
    }

    private func look(
        at object: StoredObject, _ system: UInt64, _ backups: [BaseBackup], readsData: Bool, _ found: Monitor<Found>
    ) throws {
        func add(_ problem: String, _ name: WALObjectName?) {
            var damage = Damage(object: "\(object.key)", kind: .log, problem: problem)
            damage.snapshots = name.map { Self.hurt(by: $0, backups) } ?? []
            let done = damage
            found.withLock { $0.errors.append(done) }
        }
        guard let (owner, name) = WALObjectName.parse(object.key), owner == system else {
            return add("it is no object of the log", nil)
        }
        do {
            let reader = try archive.open(name, system: system)
            try reader.verify(name, size: object.size)
            for file in reader.description.files where !name.isReceived {
                let other: String? = found.withLock { found in
                    let known = found.identities.updateValue((file.identity, "\(object.key)"), forKey: file.name)
                    return known.flatMap { $0.identity == file.identity ? nil : $0.object }
                }
                if let other { add("\(file.name) has other content in it than in \(other)", name) }
            }
            guard readsData else { return }
            try reader.verifyContent()
            found.withLock { $0.bytesRead += object.size }
            progress.update { $0.bytesRead += object.size }
        } catch let error as RepoError where error.code == .damaged {
            add(error.reason(about: "\(object.key)"), name)
        } catch let error as RepoError where error.code == .notFound {
            return  // A prune took it since it was listed.
        }
    }

    /// The backups whose own log, from start to stop, is in the object.
    static func hurt(by name: WALObjectName, _ backups: [BaseBackup]) -> [ObjectID] {
        guard let first = name.segment else { return [] }
        var last = first
        if case .batch(_, let end) = name { last = end }
        return backups.filter { backup in
            guard let from = WALSegment(name: first, size: backup.facts.segmentSize), let to = WALSegment(name: last, size: backup.facts.segmentSize)
            else { return false }
            return !backup.facts.includesLog && from.number <= backup.lastSegment && to.number >= backup.firstSegment
        }.map(\.id)
    }

    /// Nil where every object that could tell the segment size is damaged, and named already.
    private func inventory(_ system: UInt64) throws -> WALInventory? {
        do {
            return try archive.inventory(of: system)
        } catch let error as RepoError where error.code == .damaged {
            return nil
        }
    }

    /// None where a history is damaged, which is named already: gaps cannot be told from timelines that ended then.
    private func losses(_ inventory: WALInventory, _ backups: [BaseBackup]) throws -> [WALStatus.Gap] {
        do {
            return try archive.losses(inventory, backups)
        } catch let error as RepoError where error.code == .damaged {
            return []
        }
    }

    /// Segments that base backups need for themselves and that are not there.
    private func missing(_ system: UInt64, _ backups: [BaseBackup], _ inventory: WALInventory) -> [Damage] {
        var errors: [String: Damage] = [:]
        for backup in backups where !backup.facts.includesLog {
            let timeline = inventory[backup.facts.timeline]
            let range = backup.firstSegment...backup.lastSegment
            let size = backup.facts.segmentSize
            for gap in timeline?.missing(in: range) ?? [range] {
                let names = [gap.lowerBound, gap.upperBound].map { WALSegment(timeline: backup.facts.timeline, number: $0).name(size) }
                let object = WALObjectName.file(.segment(name: names[0])).key(systemIdentifier: system).description
                let through = names[0] == names[1] ? "" : ", and all up to \(names[1])"
                var damage =
                    errors[object] ?? Damage(object: object, kind: .log, problem: "it is missing\(through), and a base backup needs it")
                damage.snapshots.append(backup.id)
                errors[object] = damage
            }
        }
        return Array(errors.values)
    }
}
