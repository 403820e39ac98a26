import BlobEngine
public import RepoBase
import Storage

/// What a check of the data found, as the journal keeps it (format.md, 9): what tells another machine that this repository was verified, and when.
public struct CheckRecord: Hashable, Sendable {
    public var time: FileTime
    public var host: String
    public var coverage: VerificationCoverage
    /// Objects that were damaged or missing.
    public var damaged: UInt64

    private static let action = "check"
    /// Entries of the journal that are read at once.
    private static let batch = 64

    /// - Parameter coverage: nothing, where a check of the structure alone found damage.
    public init(_ coverage: VerificationCoverage, damaged: UInt64, time: FileTime = SystemClock.now()) {
        (self.time, host, self.coverage, self.damaged) = (time, MachineNames.host, coverage, damaged)
    }

    public func append(to repository: OpenRepository) throws {
        // Small repositories are checked twice within a second.
        var details = ["nanoseconds=\(time.nanoseconds)", "packs=\(coverage.packs)", "verified=\(coverage.verifiedPacks)", "archived=\(coverage.archivedPacks)", "damaged=\(damaged)"]
        if let since = coverage.since { details.append("since=\(since)") }
        try Journal.append(to: repository.store, by: repository.keys, JournalStamp(time: time.seconds, host: host, user: MachineNames.user), action: Self.action, subjects: [], details: details)
    }

    /// The newest that a full key signed; nil where nothing tells of a check. One listing, and a get for each entry back to it.
    public static func newest(in repository: OpenRepository) throws -> CheckRecord? {
        var entries: [(id: ObjectID, time: Int64)] = []
        try repository.store.list(Journal.prefix) { object in
            if let id = Journal.id(object.key) { entries.append((id, object.modified)) }
        }
        // The store's times only decide what is read first.
        entries.sort { $0.time > $1.time }
        while !entries.isEmpty {
            let ids = entries.prefix(batch).map(\.id)
            entries.removeFirst(ids.count)
            let newest = Monitor<CheckRecord?>(nil)
            try ParallelWork.run(ids.count, threads: 8, worker: {}) { number, _ in
                guard let record = try CheckRecord(ids[number], repository) else { return }
                newest.withLock { newest in
                    if newest.map({ $0.time < record.time }) ?? true { newest = record }
                }
            }
            if let newest = newest.withLock({ $0 }) { return newest }
        }
        return nil
    }

    private init?(_ id: ObjectID, _ repository: OpenRepository) throws {
        guard let record = try Journal.read(id, repository), record.fields.action == Self.action, repository.role(of: record.signer) == .full else { return nil }
        var values: [Substring: Int64] = [:]
        for detail in record.fields.details {
            let parts = detail.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[parts[0]] = Int64(parts[1]) }
        }
        func count(_ name: Substring) -> UInt64 { UInt64(max(0, values[name] ?? 0)) }
        time = FileTime(seconds: record.fields.time, nanoseconds: UInt32(truncatingIfNeeded: values["nanoseconds"] ?? 0))
        host = record.fields.host ?? ""
        coverage = VerificationCoverage()
        (coverage.packs, coverage.verifiedPacks, coverage.archivedPacks) = (count("packs"), count("verified"), count("archived"))
        coverage.since = values["since"]
        damaged = count("damaged")
    }
}
