import PostgresFormats
public import RepoBase
public import Repository
import WALArchive

/// A moment picked by chance from all that the archive's log makes recoverable, each second of each timeline with the same chance.
public struct RandomMoment: Hashable, Sendable {
    public let time: FileTime
    public let timeline: UInt32

    /// A first backup cannot be used for the first two seconds behind its checkpoint (`PlanningWalk`), and its time is cut to the second.
    private static let margin: Double = 3

    /// Of the newest cluster among the candidates. Throws `.timeNotRecoverable` where no stretch of the log holds a transaction behind a base backup.
    public init(
        _ repository: OpenRepository, _ candidates: [ClusterHistory.Candidate], timeline: UInt32? = nil, using numbers: inout some RandomNumberGenerator
    ) throws {
        guard let newest = candidates.max(by: { $0.entry.snapshot.time < $1.entry.snapshot.time }) else {
            throw RepoError(.timeNotRecoverable, "there is no base backup that recovery could begin from", advice: "'repo snapshot postgres' makes one.")
        }
        let ids = Set(candidates.map(\.entry.id))
        let cluster = try WALArchive(repository).status().clusters.first { $0.systemIdentifier == newest.facts.systemIdentifier }
        // Microseconds.
        let stretches = (cluster?.windows ?? []).compactMap { window -> (timeline: UInt32, from: Int64, to: Int64)? in
            guard ids.contains(window.backup), timeline == nil || window.timeline == timeline, let to = window.to else { return nil }
            let from = PostgresTime(window.from).adding(Int64(Self.margin * 1_000_000)).microseconds
            let end = PostgresTime(to).microseconds
            return from <= end ? (window.timeline, from, end) : nil
        }
        let total = Int64(clamping: stretches.reduce(Int128(0)) { $0 + Int128($1.to) - Int128($1.from) + 1 })
        guard total > 0 else {
            throw RepoError(
                .timeNotRecoverable, "no transaction ended behind a base backup\(timeline.map { " on timeline \($0)" } ?? ""), as far as the archive knows",
                advice: "There is nothing to choose from yet: use --latest.")
        }
        var left = Int64.random(in: 0..<total, using: &numbers)
        var chosen = stretches[0]
        for stretch in stretches {
            chosen = stretch
            let length = Int64(clamping: Int128(stretch.to) - Int128(stretch.from) + 1)
            if left < length { break }
            left -= length
        }
        time = PostgresTime(microseconds: chosen.from + left).fileTime
        self.timeline = chosen.timeline
    }
}
