import ArgumentParser
import BlobEngine
import Policy
import RepoBase
import Repository

struct StatsCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show what the repository holds, and what of it belongs to whom.",
        discussion: """
            Logical: all snapshots as if each were stored in full. Unique: content that differs, counted once. Stored: \
            bytes of the repository. A source's or snapshot's own share is what nothing else needs.

            Capacity is what the file system has left, or 'capacity' of the configuration. Growth is what was stored \
            within the last 30 days and is still there; a warning comes from 'capacity-warning' (90%) on, and where the \
            repository will be full within 30 days.

            Examples:
              repo stats
              repo stats --snapshots
            """)

    @Flag(help: "Also each snapshot.") var snapshots = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let statistics = try RepositoryStatistics(try context.openRepository())
        let forecast = try context.capacityForecast(statistics)
        if let forecast { try warn(forecast, context) }
        if context.options.json {
            try context.console.print(JSONOutput.pretty(StatsResult(statistics, forecast, withSnapshots: snapshots)))
            return ExitStatus.done
        }
        let ratio = statistics.ratio.map { " (ratio \(StatsResult.ratio($0)))" } ?? ""
        let columns = TextColumns(widths: [7, 0])
        var lines = [
            ["logical", ByteCount.describe(statistics.logicalBytes)],
            ["unique", ByteCount.describe(statistics.uniqueBytes)],
            ["stored", ByteCount.describe(statistics.storedBytes) + ratio],
            [
                "packs",
                "\(NumberText.grouped(UInt64(statistics.packs))), \(ByteCount.describe(statistics.packBytes)); index "
                    + ByteCount.describe(statistics.indexBytes),
            ],
            ["blobs", NumberText.grouped(UInt64(statistics.indexedBlobs))],
        ]
        if statistics.logObjects > 0 {
            lines.append(["log", "\(NumberText.counted(statistics.logObjects, "object")), \(ByteCount.describe(statistics.logBytes))"])
        }
        if statistics.parityBytes > 0 { lines.append(["parity", ByteCount.describe(statistics.parityBytes)]) }
        if let forecast { lines.append(["room", Self.describe(forecast)]) }
        for line in lines { try context.console.print(columns.line(line)) }
        if !statistics.sources.isEmpty {
            var table = TextTable(["Source", "Snapshots", "Logical", "Own share"], rightAligned: [1, 2, 3])
            for source in statistics.sources {
                table.add([
                    TextDisplay.oneLine(source.source), "\(source.snapshots)",
                    ByteCount.describe(source.logicalBytes),
                    ByteCount.describe(source.unique.storedBytes),
                ])
            }
            try context.console.write("\n" + table.text)
        }
        if snapshots, !statistics.snapshots.isEmpty {
            var table = TextTable(
                ["Snapshot", "Time", "Source", "Logical", "Own share"], rightAligned: [3, 4])
            let zone = context.zone
            for snapshot in statistics.snapshots {
                table.add([
                    snapshot.entry.id.short, TimeDisplay.local(snapshot.entry.snapshot.time, in: zone),
                    TextDisplay.oneLine(snapshot.entry.snapshot.source),
                    ByteCount.describe(snapshot.logicalBytes),
                    ByteCount.describe(snapshot.unique.storedBytes),
                ])
            }
            try context.console.write("\n" + table.text)
        }
        return ExitStatus.done
    }

    private static func describe(_ forecast: CapacityForecast) -> String {
        let share = "\(Int(forecast.usedShare * 100)) % of \(ByteCount.describe(forecast.capacityBytes))"
        guard let growth = forecast.growth else { return "\(share); no growth can be told before the fourth day" }
        let rate = "\(ByteCount.describe(UInt64(growth.bytesPerDay))) a day in the last \(NumberText.counted(growth.days, "day"))"
        guard let fullAt = forecast.fullAt else { return "\(share); \(rate)" }
        return "\(share); \(rate), which lasts until \(day(fullAt))"
    }

    private static func day(_ seconds: Int64) -> String { String(TimeDisplay.utc(seconds: seconds).prefix(10)) }

    private func warn(_ forecast: CapacityForecast, _ context: CommandContext) throws {
        let soon = try forecast.fullAt.map { try $0 - context.now().seconds < 30 * 86_400 } ?? false
        guard try soon || forecast.usedShare >= context.configuration().repository.capacityWarning else { return }
        context.warn("the repository fills up: \(Self.describe(forecast)). Let snapshots go with 'repo forget --prune', or give it more room.")
    }
}

private struct StatsResult: Encodable {
    struct Share: Encodable {
        let source: String
        let snapshotId: String?
        let snapshots: Int?
        let logicalBytes: UInt64
        let ownBlobs: Int
        let ownStoredBytes: UInt64
    }

    let logicalBytes: UInt64
    let uniqueBytes: UInt64
    let storedBytes: UInt64
    let ratio: Double?
    let packs: Int
    let packBytes: UInt64
    let indexBytes: UInt64
    let indexedBlobs: Int
    let capacityBytes: UInt64?
    let growthBytesPerDay: UInt64?
    let growthDays: Int?
    let fullAt: String?
    let logObjects: Int
    let logBytes: UInt64
    let parityBytes: UInt64
    let sources: [Share]
    let snapshots: [Share]?

    init(_ statistics: RepositoryStatistics, _ forecast: CapacityForecast?, withSnapshots: Bool) {
        capacityBytes = forecast?.capacityBytes
        growthBytesPerDay = forecast?.growth.map { UInt64($0.bytesPerDay) }
        growthDays = forecast?.growth?.days
        fullAt = forecast?.fullAt.map { TimeDisplay.utc(seconds: $0) }
        logicalBytes = statistics.logicalBytes
        uniqueBytes = statistics.uniqueBytes
        storedBytes = statistics.storedBytes
        ratio = statistics.ratio.map { ($0 * 100).rounded() / 100 }
        packs = statistics.packs
        packBytes = statistics.packBytes
        indexBytes = statistics.indexBytes
        indexedBlobs = statistics.indexedBlobs
        logObjects = statistics.logObjects
        logBytes = statistics.logBytes
        parityBytes = statistics.parityBytes
        sources = statistics.sources.map {
            Share(
                source: $0.source, snapshotId: nil, snapshots: $0.snapshots, logicalBytes: $0.logicalBytes,
                ownBlobs: $0.unique.count, ownStoredBytes: $0.unique.storedBytes)
        }
        snapshots =
            withSnapshots
            ? statistics.snapshots.map {
                Share(
                    source: $0.entry.snapshot.source, snapshotId: "\($0.entry.id)", snapshots: nil,
                    logicalBytes: $0.logicalBytes, ownBlobs: $0.unique.count,
                    ownStoredBytes: $0.unique.storedBytes)
            } : nil
    }

    /// One digit after the point.
    static func ratio(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
