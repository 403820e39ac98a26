import Policy
import RepoBase
import Repository
import Storage

/// `repo copy --status`: looks at this repository and at each of its copies, and says what they amount to.
struct CopyStatusRun {
    let destinations: [ConfiguredRepository]
    let limits: CopyStatus.Limits

    /// Throws what is no length of time.
    init(to destinations: [ConfiguredRepository], within: String, lag: String) throws {
        self.destinations = destinations
        limits = try .init(verification: ElapsedTime.parse(within).components.seconds, lag: ElapsedTime.parse(lag).components.seconds)
    }

    /// 0 where three copies, two storages and one elsewhere are there, 1 where not; or what the first repository ended with that could not be looked at.
    func run(_ context: CommandContext) throws -> Int32 {
        var status = CopyStatus(limits: limits, now: try context.now().seconds)
        let repository = try context.openRepository()
        let entries = try SnapshotCatalog(repository).all(onProblem: { _, error in context.warn(error.message) })
        let origin = repository.keys.repositoryID
        let own = try StoragePlace(context.location(), repository.store.location, isOffSite: context.configuration().repository.isOffSite)
        try status.add(repository, own, copyOf: entries, of: origin)
        for destination in destinations {
            let other = try OtherRepository(destination, context)
            do {
                let opened = try other.open(context, isDryRun: true)
                try status.add(opened, StoragePlace(other.location, opened.store.location, isOffSite: destination.isOffSite), copyOf: entries, of: origin)
            } catch let error as RepoError where error.code != .interrupted {
                let url = destination.url ?? ""
                status.add(url, StoragePlace(other.location, url, isOffSite: destination.isOffSite), failedWith: error)
            }
        }
        try show(status, context)
        return status.failure ?? (status.count.isKept ? ExitStatus.done : RepoError.Code.failed.exitStatus)
    }

    private func show(_ status: CopyStatus, _ context: CommandContext) throws {
        let count = status.count
        if context.options.json {
            try context.console.print(
                JSONOutput.pretty(
                    CopyStatusResult(
                        kept: count.isKept, copies: count.copies, storages: count.storages, offSite: count.offSite, lacks: count.lacks, places: status.places)))
            return
        }
        var table = TextTable(["Repository", "Storage", "Snapshots", "Lacking", "Verified since", "Counts"], rightAligned: [2, 3])
        for place in status.places {
            table.add([
                TextDisplay.oneLine(place.url), place.storage + (place.offSite ? ", elsewhere" : ""), "\(place.snapshots)", "\(place.lacking)",
                place.verifiedSince.map { String($0.prefix(10)) } ?? "-", place.counted ? "yes" : "no",
            ])
        }
        try context.console.write(table.text)
        for place in status.places {
            if let problem = place.problem { context.warn("\(TextDisplay.oneLine(place.url)): \(problem)") }
        }
        if !context.options.quiet {
            try context.console.print(
                "\(NumberText.counted(count.copies, "copy", "copies")) with the data itself, \(NumberText.counted(count.storages, "storage")), \(count.offSite) elsewhere"
                    + (count.isKept ? ": three, two and one are kept" : ": " + count.lacks.joined(separator: " and ") + " is missing"))
        }
    }
}

private struct CopyStatusResult: Encodable {
    let kept: Bool
    let copies: Int
    let storages: Int
    let offSite: Int
    let lacks: [String]
    let places: [CopyStatus.Place]
}
