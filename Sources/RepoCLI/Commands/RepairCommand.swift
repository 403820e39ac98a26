import ArgumentParser
import Ingest
import RepoBase
import Repository

struct RepairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Mend a repository after damage.",
        discussion: """
            First 'repo check --read-data' names what is damaged. Then, as far as needed and in this order:
              repo repair index       when index segments are damaged or missing
              repo repair packs       when packs are: parity makes them whole, or what still reads is salvaged
              repo repair snapshots   makes snapshots without what is lost
              repo repair wal         moves damaged files of the log aside, so that they can be pushed again
            """,
        subcommands: [RepairIndexCommand.self, RepairPacksCommand.self, RepairSnapshotsCommand.self, RepairWALCommand.self])
}

struct RepairIndexCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "Make the index anew from the packs alone.")

    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Result: Encodable {
        let packs: Int
        let blobs: Int
        let segmentsStored: Int
        let segmentsReplaced: Int
        let damagedPacks: [String]
        let healedPacks: [String]
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repaired = try IndexRepair(try context.openRepositoryPastCopies()).run()
        let damaged = repaired.damagedPacks
        if context.options.json {
            try context.console.print(
                JSONOutput.line(
                    Result(
                        packs: repaired.packs, blobs: repaired.blobs, segmentsStored: repaired.segmentsStored,
                        segmentsReplaced: repaired.segmentsReplaced, damagedPacks: damaged.map(\.object),
                        healedPacks: repaired.healedPacks.map { "\($0)" })))
        } else {
            for pack in repaired.healedPacks { try context.console.print("made whole from parity: \(PackObject.key(pack))") }
            for damage in damaged { context.warn("\(damage.object): \(damage.problem)") }
            try context.console.print(
                "the index names \(NumberText.counted(repaired.blobs, "blob")) in "
                    + NumberText.counted(repaired.packs, "pack"))
            if !damaged.isEmpty { context.note("Run 'repo repair packs' next.") }
        }
        return damaged.isEmpty ? ExitStatus.done : RepoError.Code.damaged.exitStatus
    }
}

struct RepairPacksCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "packs",
        abstract: "Make damaged packs whole from parity, or salvage what still reads and take them out.",
        discussion: """
            Without ids every pack is read. Where there is parity ('repo parity'), damaged and missing packs come back from it byte \
            for byte, as long as no more is lost than it brings back. Of others what reads goes into new packs. Damaged packs \
            are kept in the repository's folder 'damaged'.

            Example:
              repo repair packs
            """)

    @Argument(help: ArgumentHelp("Packs by their ids, or the first digits of them.", valueName: "pack"))
    var packs: [String] = []
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Result: Encodable {
        let packs: [String]
        let salvagedBlobs: Int
        let lostBlobs: Int
        let wholePacks: [String]
        let healedPacks: [String]
        /// Why parity did not make a pack whole, by its id.
        let unhealed: [String: String]
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryPastCopies()
        let ids = try packs.map { try PackRepair(repository).identify($0) }
        let progress = CheckProgress()
        let repaired = try ProgressDisplay.during(
            context, "repair",
            { ProgressSample(done: progress.values.bytesRead, total: progress.values.bytesToRead) }
        ) {
            try PackRepair(repository).run(ids.isEmpty ? nil : ids, progress: progress)
        }
        if context.options.json {
            try context.console.print(
                JSONOutput.line(
                    Result(
                        packs: repaired.packs.map { "\($0)" }, salvagedBlobs: repaired.salvagedBlobs,
                        lostBlobs: repaired.lostBlobs, wholePacks: repaired.wholePacks.map { "\($0)" },
                        healedPacks: repaired.healedPacks.map { "\($0)" },
                        unhealed: Dictionary(uniqueKeysWithValues: repaired.unhealed.map { ("\($0)", $1) }))))
        } else {
            for pack in repaired.healedPacks { try context.console.print("made whole from parity: \(PackObject.key(pack))") }
            if try ParityStatus.exists(in: repository) {
                for (pack, reason) in repaired.unhealed.sorted(by: { $0.key < $1.key }) {
                    context.warn("parity does not bring \(PackObject.key(pack)) back: \(reason)")
                }
            }
            for pack in repaired.packs { try context.console.print("taken out: \(PackObject.key(pack))") }
            for pack in repaired.wholePacks { try context.console.print("whole: \(PackObject.key(pack))") }
            try context.console.print(
                "\(NumberText.counted(repaired.healedPacks.count, "pack")) made whole, \(repaired.packs.count) taken out; \(NumberText.counted(repaired.salvagedBlobs, "blob")) salvaged, \(repaired.lostBlobs) lost"
            )
            if repaired.lostBlobs > 0 { context.note("Run 'repo repair snapshots' next.") }
        }
        return ExitStatus.done
    }
}

struct RepairSnapshotsCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots",
        abstract: "Make restorable snapshots of damaged ones, without what is lost.",
        discussion: """
            The new ones are tagged 'repaired=true' and list what they lack. Without names all are looked at. A snapshot \
            whose own object does not read is moved to the repository's folder 'damaged', so that 'forget' and 'prune' go on.

            Example:
              repo repair snapshots --forget
            """)

    @Argument(help: SnapshotName.help) var snapshots: [String] = []
    @Flag(help: "Let the damaged ones go when their replacement is there.") var forget = false
    @Flag(help: "Open every chunk instead of looking it up.") var readData = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    fileprivate struct Row: Encodable {
        let old: String
        let new: String?
        let lostEntries: Int
        let problems: [String]
        /// Its object does not read and is in `damaged/` now. Absent unless true.
        let setAside: Bool?
        /// Its object came back from its second copy. Absent unless true.
        let healed: Bool?
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryPastCopies()
        let catalog = SnapshotCatalog(repository)
        let named = try snapshots.map { try catalog.identify($0) }
        let repair = SnapshotRepair(repository)
        let unreadable = try repair.setAsideUnreadable(named.isEmpty ? nil : named)
        let rest = named.filter { id in !unreadable.contains { $0.id == id } }
        let repaired =
            named.isEmpty || !rest.isEmpty
            ? try repair.run(named.isEmpty ? nil : rest, forget: forget, verifiesData: readData) : []
        if context.options.json {
            try context.console.print(JSONOutput.pretty(unreadable.map(Row.init) + repaired.map(Row.init)))
        } else {
            for one in unreadable { try show(one, context) }
            for one in repaired { try show(one, context) }
            if repaired.isEmpty, unreadable.isEmpty { try context.console.print("no snapshot needs repair") }
        }
        return unreadable.contains { $0.leftBecause != nil } ? RepoError.Code.damaged.exitStatus : ExitStatus.done
    }

    private func show(_ one: SnapshotRepair.Unreadable, _ context: CommandContext) throws {
        let name = "snapshot \(one.id.short)"
        if one.isHealed {
            try context.console.print("\(name) did not read (\(one.problem)): put back from its second copy")
        } else if let reason = one.leftBecause {
            context.warn("\(name) does not read (\(one.problem)) and was left: \(reason)")
        } else {
            try context.console.print("\(name) does not read (\(one.problem)): moved to \(PackRepair.damagedPrefix)\(one.id)")
        }
    }

    private func show(_ one: SnapshotRepair.Repaired, _ context: CommandContext) throws {
        for problem in one.problems {
            try context.console.print(
                "lost: \(RawPath.describe(problem.path)): \(TextDisplay.oneLine(problem.message))")
        }
        try context.console.print(
            one.new.map {
                "snapshot \(one.old.short) is repaired as \($0.short), without \(NumberText.counted(one.problemCount, "entry", "entries"))"
            }
                ?? "nothing is left of snapshot \(one.old.short)")
        // What stays damaged is named by every check.
        try context.console.print("The damaged one stays. When it is of no more use: repo forget \(one.old.short)")
    }
}

extension RepairSnapshotsCommand.Row {
    fileprivate init(_ one: SnapshotRepair.Repaired) {
        self.init(
            old: "\(one.old)", new: one.new.map { "\($0)" }, lostEntries: one.problemCount,
            problems: one.problems.map { "\(RawPath.describe($0.path)): \(TextDisplay.oneLine($0.message))" }, setAside: nil, healed: nil)
    }

    fileprivate init(_ one: SnapshotRepair.Unreadable) {
        self.init(
            old: "\(one.id)", new: nil, lostEntries: 0, problems: [one.problem] + (one.leftBecause.map { [$0] } ?? []),
            setAside: one.leftBecause == nil && !one.isHealed ? true : nil, healed: one.isHealed ? true : nil)
    }
}
