import Policy
import RepoBase
import Repository
import Storage

/// Which copies of a repository there are, whether they are good, and whether that is enough: `repo copy --status`.
struct CopyStatus {
    struct Limits {
        /// Seconds since a copy was read and verified in whole, at most.
        var verification: Int64
        /// Seconds that the newest snapshot of a source there may be older than here.
        var lag: Int64
    }

    /// One repository.
    struct Place: Encodable {
        let url: String
        let storage: String
        let offSite: Bool
        /// Whether it counts as a copy, and if not, why.
        var counted = false
        var problem: String?
        var snapshots = 0
        /// Snapshots of the repository here that are not there.
        var lacking = 0
        /// When what was verified longest ago was; absent where part of it never was.
        var verifiedSince: String?
        var lastCheck: String?
        var checkedBy: String?
        var packs: UInt64?
        var packsVerified: UInt64?
        var packsArchived: UInt64?
        var damaged: UInt64?
    }

    let limits: Limits
    /// Seconds since 1970.
    let now: Int64
    private(set) var places: [Place] = []
    /// The exit status of the first place that could not be looked at.
    private(set) var failure: Int32?

    init(limits: Limits, now: Int64) { (self.limits, self.now) = (limits, now) }

    var count: CopyCount { CopyCount(places.filter(\.counted).map { .init(storage: $0.storage, isOffSite: $0.offSite) }) }

    /// Looks at a repository: one listing of its snapshots and journal, and what of them is not on this machine.
    /// - Parameters:
    ///   - entries: the snapshots of the repository here.
    ///   - origin: its id.
    mutating func add(_ repository: OpenRepository, _ storage: StoragePlace, copyOf entries: [SnapshotCatalog.Entry], of origin: RepositoryID) throws {
        var place = Place(url: repository.store.location, storage: storage.name, offSite: storage.isOffSite)
        let there = try SnapshotCatalog(repository).all(onProblem: { _, _ in })
        let origins = Set(there.map { CopyOrigin(of: $0, in: repository.keys.repositoryID) })
        place.snapshots = there.count
        // Newest here, and newest of those that are there, by host and source.
        var newest: [String: (here: FileTime, there: FileTime?)] = [:]
        for entry in entries {
            let isThere = origins.contains(CopyOrigin(of: entry, in: origin))
            if !isThere { place.lacking += 1 }
            let (name, time) = ("\(entry.snapshot.host)\0\(entry.snapshot.source)", entry.snapshot.time)
            var source = newest[name] ?? (time, nil)
            source.here = max(source.here, time)
            if isThere { source.there = max(source.there ?? time, time) }
            newest[name] = source
        }
        let record = try CheckRecord.newest(in: repository)
        if let record {
            place.lastCheck = TimeDisplay.utc(seconds: record.time.seconds)
            place.checkedBy = record.host
            place.packs = record.coverage.packs
            (place.packsVerified, place.packsArchived) = (record.coverage.verifiedPacks, record.coverage.archivedPacks)
            place.damaged = record.damaged
            if record.coverage.isComplete { place.verifiedSince = record.coverage.since.map { TimeDisplay.utc(seconds: $0) } }
        }
        let late = newest.values.count { source in source.there.map { $0 < source.here && source.here.seconds - $0.seconds >= limits.lag } ?? true }
        place.problem = Self.problem(record, late: late, limits, now)
        place.counted = place.problem == nil
        places.append(place)
    }

    /// A repository that could not be looked at.
    mutating func add(_ url: String, _ storage: StoragePlace, failedWith error: RepoError) {
        var place = Place(url: url, storage: storage.name, offSite: storage.isOffSite)
        place.problem = error.message
        places.append(place)
        failure = failure ?? error.code.exitStatus
    }

    private static func problem(_ record: CheckRecord?, late: Int, _ limits: Limits, _ now: Int64) -> String? {
        if late > 0 { return "the newest \(late == 1 ? "snapshot of a source is" : "snapshots of \(late) sources are") missing: run 'repo copy'" }
        guard let record else { return "its data was never verified: run 'repo check --read-data' on it" }
        if record.damaged > 0 { return "its last check found \(record.damaged) damaged objects: run 'repo check --read-data' on it, with --heal-from" }
        guard record.coverage.isComplete else {
            return "\(NumberText.grouped(record.coverage.packs - record.coverage.verifiedPacks - record.coverage.archivedPacks)) of "
                + "\(NumberText.counted(record.coverage.packs, "pack was", "packs were")) never verified: go on with 'repo check --read-data-subset', or read all"
        }
        if now - (record.coverage.since ?? record.time.seconds) >= limits.verification { return "what was verified longest ago was too long ago: run 'repo check --read-data' on it" }
        return nil
    }
}
