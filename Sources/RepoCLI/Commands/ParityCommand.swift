import ArgumentParser
import RepoBase
import Repository
import Storage

struct ParityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parity",
        abstract: "Keep parity, from which damaged and lost packs come back.",
        discussion: """
            Parity is so many bytes for each byte of packs as you choose, by Reed-Solomon across up to 1,024 packs at a time. Snapshots and \
            prunes keep it up. 'repo check' says what it can bring back, 'repo repair packs' does it. It guards against bad \
            sectors and lost files, not against who may delete: for that keep a copy ('repo copy').

            Examples:
              repo parity set 10%
              repo parity status
            """,
        subcommands: [ParitySetCommand.self, ParityOffCommand.self, ParityStatusCommand.self, ParityUpdateCommand.self])
}

/// Bytes of parity for 10,000 of packs, and in words.
enum ParityShare {
    static func parse(_ text: String) throws(RepoError) -> UInt64 {
        guard text.hasSuffix("%"), let percentage = Double(text.dropLast()), (0.1...100).contains(percentage) else {
            throw RepoError(.usage, "'\(text)' is not a percentage from 0.1% to 100%", advice: "Write it as: repo parity set 10%")
        }
        return UInt64((percentage * 100).rounded())
    }

    static func describe(_ parity: UInt64) -> String { describe(Double(parity) / 10_000) }

    /// With one digit after the point where it is not zero.
    static func describe(_ share: Double) -> String {
        let tenths = Int((share * 1000).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10) %" : "\(tenths / 10).\(tenths % 10) %"
    }
}

/// What keeping parity up did, as `--json` prints it.
struct ParityResult: Encodable {
    let groupsMade: Int
    let groupsDeleted: Int
    let bytesCoded: UInt64
    let bytesStored: UInt64
    let packsCovered: Int
    let packsDamaged: [String]

    init(_ outcome: ParityOutcome) {
        groupsMade = outcome.groupsMade
        groupsDeleted = outcome.groupsDeleted
        bytesCoded = outcome.bytesCoded
        bytesStored = outcome.bytesStored
        packsCovered = outcome.packsCovered
        packsDamaged = outcome.packsDamaged.map { "\($0)" }
    }

    /// Beside another command's result.
    static func warn(_ outcome: ParityOutcome?, _ context: CommandContext) {
        guard let damaged = outcome?.packsDamaged, let first = damaged.first else { return }
        let packs = damaged.count == 1 ? "\(PackObject.key(first)) is" : "\(damaged.count) packs, \(PackObject.key(first)) the first, are"
        context.warn("\(packs) damaged or missing, and no new parity covers what is. Run 'repo repair packs', then 'repo parity update'.")
    }

    /// The exit status: 12 where a pack could not be covered.
    static func show(_ outcome: ParityOutcome, _ context: CommandContext) throws -> Int32 {
        if context.options.json {
            try context.console.print(JSONOutput.line(ParityResult(outcome)))
        } else {
            for pack in outcome.packsDamaged { context.warn("\(PackObject.key(pack)) is damaged or missing; no new parity covers it") }
            if !outcome.packsDamaged.isEmpty { context.note("Run 'repo repair packs', then 'repo parity update'.") }
            if !context.options.quiet {
                try context.console.print(
                    "\(NumberText.counted(outcome.packsCovered, "pack")) covered; \(ByteCount.describe(outcome.bytesCoded)) coded, "
                        + "\(ByteCount.describe(outcome.bytesStored)) of parity stored")
            }
        }
        return outcome.packsDamaged.isEmpty ? ExitStatus.done : RepoError.Code.damaged.exitStatus
    }
}

extension CommandContext {
    /// Brings parity to what it should be, showing how far it is.
    func updateParity(_ repository: OpenRepository, to parity: UInt64?, readsParity: Bool = false) throws -> ParityOutcome {
        let done = Monitor<UInt64>(0)
        return try ProgressDisplay.during(self, "parity", { ProgressSample(done: done.withLock { $0 }) }) {
            try ParityUpkeep(repository, parity: parity) { count in done.withLock { $0 += count } }.run(readsParity: readsParity)
        }
    }
}

struct ParitySetCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Keep so much parity from now on, and make it.",
        discussion: """
            For a repository that has none, or another share. With 10% any 8 % of a group's packs may be lost at once. Killed, it is gone on \
            with by the next 'repo parity update', snapshot or prune.

            Example:
              repo parity set 10%
            """)

    @Argument(help: ArgumentHelp("Bytes of parity for bytes of packs.", valueName: "percentage")) var share: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let parity = try ParityShare.parse(share)
        let repository = try context.openRepositoryPastCopies()
        var keys = repository.keys
        if keys.config.parity != parity { try keys.setParity(parity, in: repository.store) }
        return try ParityResult.show(try context.updateParity(repository, to: parity), context)
    }
}

struct ParityOffCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "off", abstract: "Keep no parity any more, and delete what there is.")

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryPastCopies()
        var keys = repository.keys
        try keys.setParity(nil, in: repository.store)
        let outcome = try ParityUpkeep(repository, parity: .some(nil)).run()
        try context.console.print(
            context.options.json ? JSONOutput.line(ParityResult(outcome)) : "no parity is kept; \(outcome.groupsDeleted) groups deleted")
        return ExitStatus.done
    }
}

struct ParityUpdateCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Make the parity that is missing, and delete what nothing needs any more.",
        discussion: "Snapshots and prunes do it by themselves; this is for what they could not do, and after a repair.")

    @Flag(help: "Read all parity, and make anew what is damaged.") var readData = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryPastCopies()
        guard let parity = repository.keys.config.parity else {
            throw RepoError(.usage, "no parity is kept in \(repository.store.location)", advice: "Begin with: repo parity set 10%")
        }
        return try ParityResult.show(try context.updateParity(repository, to: parity, readsParity: readData), context)
    }
}

struct ParityStatusCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show what parity covers.",
        discussion: "Of each group so many packs may be lost at once as it has rows, whichever they are. Exit 12 where parity itself is damaged.")

    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Group: Encodable {
        let id: String
        let packs: Int
        let bytes: UInt64
        let shards: Int
        let rows: Int
        let rowsMissing: Int
        let parityBytes: UInt64
    }

    private struct Result: Encodable {
        /// In percent; null where none is kept.
        let share: Double?
        let packsCovered: Int
        let packsUncovered: Int
        let bytesCovered: UInt64
        let bytesUncovered: UInt64
        let parityBytes: UInt64
        let overhead: Double?
        let snapshotCopies: Int
        let groups: [Group]
        let damaged: [String]
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let status = try ParityStatus(try context.openRepositoryPastCopies())
        if context.options.json {
            try context.console.print(JSONOutput.pretty(Self.result(status)))
        } else {
            try show(status, context)
        }
        return status.damages.isEmpty ? ExitStatus.done : RepoError.Code.damaged.exitStatus
    }

    private static func result(_ status: ParityStatus) -> Result {
        Result(
            share: status.parity.map { Double($0) / 100 }, packsCovered: status.packsCovered, packsUncovered: status.packsUncovered,
            bytesCovered: status.bytesCovered, bytesUncovered: status.bytesUncovered, parityBytes: status.parityBytes,
            overhead: status.overhead.map { ($0 * 10_000).rounded() / 10_000 }, snapshotCopies: status.snapshotCopies,
            groups: status.groups.map {
                Group(
                    id: $0.id, packs: $0.packs, bytes: $0.bytes, shards: $0.shards, rows: $0.rows, rowsMissing: $0.rowsMissing,
                    parityBytes: $0.parityBytes)
            }, damaged: status.damages.map(\.object))
    }

    private func show(_ status: ParityStatus, _ context: CommandContext) throws {
        guard let parity = status.parity else {
            try context.console.print("no parity is kept; 'repo parity set 10%' begins")
            return
        }
        let overhead = status.overhead.map { " (\(ParityShare.describe($0)))" } ?? ""
        let columns = TextColumns(widths: [9, 0])
        for line in [
            ["share", ParityShare.describe(parity)],
            ["covered", "\(NumberText.counted(status.packsCovered, "pack")), \(ByteCount.describe(status.bytesCovered))"],
            ["uncovered", "\(NumberText.counted(status.packsUncovered, "pack")), \(ByteCount.describe(status.bytesUncovered))"],
            ["parity", ByteCount.describe(status.parityBytes) + overhead],
        ] { try context.console.print(columns.line(line)) }
        if !status.groups.isEmpty {
            var table = TextTable(["Group", "Packs", "Bytes", "May be lost", "Parity"], rightAligned: [1, 2, 3, 4])
            for group in status.groups {
                let rows = group.rowsMissing == 0 ? "\(group.rows)" : "\(group.rows - group.rowsMissing) of \(group.rows)"
                table.add([
                    String(group.id.prefix(8)), NumberText.grouped(UInt64(group.packs)), ByteCount.describe(group.bytes), rows,
                    ByteCount.describe(group.parityBytes),
                ])
            }
            try context.console.write("\n" + table.text)
        }
        for damage in status.damages { try context.console.print("damaged: \(damage.object): \(damage.problem)") }
        if !status.damages.isEmpty || status.packsUncovered > 0 { context.note("'repo parity update' makes what is missing.") }
    }
}
