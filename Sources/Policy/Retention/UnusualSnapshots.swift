/// What a snapshot says of its size, for comparing it with those before it.
public struct SnapshotFigures: Hashable, Sendable {
    public var id: String
    /// When it came, in seconds since 1970, by the store's clock where that is known.
    public var time: Int64
    /// Bytes of everything in it.
    public var logicalBytes: UInt64
    /// Bytes that were stored for it.
    public var addedBytes: UInt64

    public init(id: String, time: Int64, logicalBytes: UInt64, addedBytes: UInt64) {
        (self.id, self.time, self.logicalBytes, self.addedBytes) = (id, time, logicalBytes, addedBytes)
    }
}

/// How a snapshot differs from those before it, as one does whose source was emptied, encrypted by somebody else, or taken over
/// (docs/adr/0035-whose-snapshots-count.md).
public enum UnusualSnapshot: Hashable, Sendable, CustomStringConvertible {
    /// It has so many per cent of the usual size.
    case shrunk(percent: Int)
    /// So many per cent of it had to be stored, where next to nothing had before.
    case replaced(percent: Int, usual: Int)
    /// It is one of so many in 24 hours; the busiest day before had fewer by far.
    case burst(count: Int, usual: Int)

    public var description: String {
        switch self {
        case .shrunk(let percent): "it has \(percent) % of the size of those before it"
        case .replaced(let percent, let usual): "\(percent) % of it is new, and \(usual) % of those before it was"
        case .burst(let count, let usual): "it is one of \(count) within 24 hours, and there were at most \(usual) a day before"
        }
    }
}

/// Looks through the snapshots of one source for such as do not look like those before them. Pure.
public enum UnusualSnapshots {
    /// What is older counts as accepted: somebody would have noticed.
    public static let watchedSeconds: Int64 = 14 * 86_400
    /// Of so many snapshots before it the middle one is what is usual; with fewer than three nothing is.
    static let compared = 10
    static let needed = 3
    /// Smaller sources change for all kinds of reasons.
    static let least: UInt64 = 16 << 20
    /// Snapshots of a day that are never a burst.
    static let burst = 12

    /// Oldest first. O(n) for n snapshots, besides sorting.
    public static func find(_ snapshots: [SnapshotFigures], now: Int64) -> [(snapshot: SnapshotFigures, finding: UnusualSnapshot)] {
        let sorted = snapshots.sorted { ($0.time, $0.id) < ($1.time, $1.id) }
        let days = Dictionary(grouping: sorted) { day($0.time) }.mapValues(\.count)
        var found: [(snapshot: SnapshotFigures, finding: UnusualSnapshot)] = []
        /// Those to compare with, the latest last.
        var usual: [SnapshotFigures] = []
        var dayBegin = 0
        for (place, snapshot) in sorted.enumerated() {
            while sorted[dayBegin].time <= snapshot.time - 86_400 { dayBegin += 1 }
            let isWatched = now - snapshot.time <= watchedSeconds
            let finding =
                isWatched ? bySize(snapshot, usual) ?? byCount(snapshot, within: place - dayBegin + 1, days) : nil
            if let finding {
                found.append((snapshot, finding))
            } else {
                usual.append(snapshot)
                if usual.count > compared { usual.removeFirst() }
            }
        }
        return found
    }

    private static func day(_ time: Int64) -> Int64 { time >= 0 ? time / 86_400 : (time - 86_399) / 86_400 }

    private static func bySize(_ snapshot: SnapshotFigures, _ usual: [SnapshotFigures]) -> UnusualSnapshot? {
        guard usual.count >= needed else { return nil }
        let size = median(usual.map { Double($0.logicalBytes) })
        if size >= Double(least), Double(snapshot.logicalBytes) * 2 < size {
            return .shrunk(percent: Int(Double(snapshot.logicalBytes) / size * 100))
        }
        let share = share(snapshot)
        let before = median(usual.map(Self.share))
        guard snapshot.logicalBytes >= least, share >= 0.5, before <= 0.1 else { return nil }
        return .replaced(percent: Int(share * 100), usual: Int(before * 100))
    }

    /// What had to be stored, of all there is. Compression hides some of it: half is much.
    private static func share(_ snapshot: SnapshotFigures) -> Double {
        snapshot.logicalBytes == 0 ? 0 : min(1, Double(snapshot.addedBytes) / Double(snapshot.logicalBytes))
    }

    private static func byCount(_ snapshot: SnapshotFigures, within count: Int, _ days: [Int64: Int]) -> UnusualSnapshot? {
        let last = day(snapshot.time - 86_400)
        let before = (last - 13...last).compactMap { days[$0] }
        guard before.count >= needed, let busiest = before.max(), count > max(burst, 3 * busiest) else { return nil }
        return .burst(count: count, usual: busiest)
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
