import BlobEngine
import Glibc
import RepoBase
import Repository
import Storage

extension CommandContext {
    /// Compares what a store shows with what this machine has seen there, and says loudly what is missing, unless `isSilent`.
    func freshnessWatch(
        _ keys: KeyRing, _ location: RepositoryLocation, _ store: any Store, isSilent: Bool = false
    ) throws -> FreshnessWatch {
        // The same directory however it was named.
        let place = if case .directory(let path) = location { try LogAccess.absolute(path) } else { store.location }
        let context = self
        return FreshnessWatch(
            folder: stateDirectory(), repository: keys.repositoryID, location: place,
            report: { if !isSilent { context.warn($0) } },
            onProblem: { error in
                // A server's commands may have no home; what they would say stands in its log for each segment.
                guard !isSilent, geteuid() == 0 || context.stateDirectory() != CommandContext.systemStateDirectory else { return }
                context.note("\(error.message); so this machine would not notice if the store hid snapshots. \(error.advice)")
            })
    }

    /// The status that a command ends with: damage where the store hides what this machine has seen, unless something worse happened.
    func exitStatus(_ status: Int32, _ repository: OpenRepository) -> Int32 {
        let isDone = status == ExitStatus.done || status == ExitStatus.incomplete
        return isDone && repository.freshness?.findings.isEmpty == false ? RepoError.Code.damaged.exitStatus : status
    }

    /// As `openRepository`, for what is sealed to the keys that config names. Throws `.damaged` where the store gives an older config than this
    /// machine has seen.
    func openRepository(to what: String) throws -> OpenRepository {
        let repository = try openRepository()
        try repository.requireLatestConfig(to: what)
        return repository
    }

    /// Snapshots that are named in a warning; the rest is counted.
    private static let namedLimit = 8

    private func warn(_ findings: [FreshnessFinding]) {
        func isSnapshot(_ finding: FreshnessFinding) -> Bool { if case .snapshot = finding { true } else { false } }
        let missing = findings.filter(isSnapshot)
        for finding in findings where !isSnapshot(finding) { warn("WARNING: \(finding.object): \(finding.problem)") }
        if !missing.isEmpty {
            let names = missing.suffix(Self.namedLimit).compactMap { finding -> String? in
                guard case .snapshot(let id, let source, let time, _) = finding else { return nil }
                return id.short + (source.isEmpty ? "" : " of \(TextDisplay.oneLine(source))") + (time.map { " (\(TimeDisplay.utc(seconds: $0)))" } ?? "")
            }
            let rest = missing.count > names.count ? " and \(missing.count - names.count) older ones" : ""
            let count = missing.count == 1 ? "1 snapshot that this machine has seen is" : "\(missing.count) snapshots that this machine has seen are"
            warn("WARNING: \(count) missing, and no record tells of the removal: \(names.joined(separator: ", "))\(rest)")
        }
        if let last = findings.map(\.lastSeen).min(), last > 1 { warn("all was there on \(TimeDisplay.utc(seconds: last))") }
        warn(FreshnessFinding.advice)
    }
}
