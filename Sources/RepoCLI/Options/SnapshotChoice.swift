import ArgumentParser
import Policy
import RepoBase
import Repository

/// Finds the snapshot that a command is to work on: by name, or the newest at a time.
enum SnapshotChoice {
    /// - Parameters:
    ///   - name: an id, a prefix of one, `latest` or `latest:SOURCE`; nil for the newest that fits the rest.
    ///   - time: the newest at or before this moment.
    /// Throws `.timeNotRecoverable`, naming the nearest snapshot, when there is none so early; `.damaged` where one that does not read may be the
    /// one that is meant.
    static func find(
        _ name: String?, source: String?, at time: String?, _ catalog: SnapshotCatalog,
        _ context: CommandContext
    ) throws -> SnapshotCatalog.Entry {
        if let name {
            guard time == nil, source == nil else {
                throw RepoError(
                    .usage, "a snapshot was named, and --source or --at as well",
                    advice: "Give the one or the other.")
            }
            return try catalog.find(name)
        }
        var unreadable = UnreadableSnapshots()
        let moment = try time.map { try context.moment($0) }
        let entries = try catalog.all { unreadable.add($0, $1) }.filter { source == nil || $0.snapshot.source == source }
        let newest = SnapshotCatalog.newest(entries)
        try unreadable.requireNone(besides: moment.map { moment in entries.last { $0.snapshot.time <= moment } } ?? newest)
        guard let newest else {
            throw RepoError(
                .notFound,
                source.map { "there is no snapshot of source '\($0)'" } ?? "there is no snapshot yet",
                advice: "'repo snapshots' lists what there is.")
        }
        let sources = Set(entries.map(\.snapshot.source))
        guard sources.count == 1 else {
            throw RepoError(
                .usage, "there are snapshots of \(sources.count) sources, and none was chosen",
                advice:
                    "Name one with --source: \(sources.sorted().map(TextDisplay.oneLine).joined(separator: ", "))."
            )
        }
        guard let moment else {
            if let last = entries.last, last.id != newest.id, last.snapshot.time > newest.snapshot.time {
                context.warn(
                    "snapshot \(last.id.short) is dated \(TimeDisplay.utc(last.snapshot.time)), in the future; by the store's clock \(newest.id.short) is newer, "
                        + "and is taken")
            }
            return newest
        }
        if let found = entries.last(where: { $0.snapshot.time <= moment }) { return found }
        let nearest = entries[0]
        throw RepoError(
            .timeNotRecoverable, "no snapshot is as old as \(TimeDisplay.utc(moment))",
            advice: "The nearest is \(nearest.id.short) of \(TimeDisplay.utc(nearest.snapshot.time)).")
    }
}
