import Policy
import RepoBase
import Repository
import WALArchive

/// What is said of locked objects after a prune.
enum LockReport {
    static func lines(
        _ outcome: CollectionOutcome, _ log: LogPruning.Outcome, _ locks: LockExtension.Outcome?, _ zone: any ZoneOffsets
    ) -> [String] {
        var lines: [String] = []
        if outcome.packsLocked > 0 {
            lines.append("\(NumberText.counted(outcome.packsLocked, "pack")), \(ByteCount.describe(outcome.bytesLocked)), \(outcome.packsLocked == 1 ? "is" : "are") locked\(until(outcome.lockedUntil, zone))")
        }
        if !log.locked.objects.isEmpty {
            lines.append("\(NumberText.counted(log.locked.objects.count, "object of the log is", "objects of the log are")) locked\(until(log.locked.until, zone))")
        }
        return lines + (locks.map { [line($0)] } ?? [])
    }

    static func line(_ locks: LockExtension.Outcome) -> String {
        var line = "the locks of \(NumberText.counted(locks.objects, "object")), \(ByteCount.describe(locks.bytes)), are kept up"
        line += ": \(NumberText.grouped(UInt64(locks.extended))) extended"
        if locks.unlocked > 0 { line += ", of which \(NumberText.grouped(UInt64(locks.unlocked))) were not locked any more, or never" }
        return line
    }

    private static func until(_ end: Int64?, _ zone: any ZoneOffsets) -> String {
        guard let end else { return "" }
        return " until \(TimeDisplay.local(FileTime(seconds: end, nanoseconds: 0), in: zone)); a prune after that frees them"
    }
}
