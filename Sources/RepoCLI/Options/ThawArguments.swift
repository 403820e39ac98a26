import ArgumentParser
import BlobEngine
import Policy
import RepoBase
import Repository
import Storage

/// --thaw-tier.
enum ThawTier: String, CaseIterable, ExpressibleByArgument {
    case expedited, standard, bulk

    var tier: ThawRequest.Tier {
        switch self {
        case .expedited: .expedited
        case .standard: .standard
        case .bulk: .bulk
        }
    }
}

/// Options of bringing packs back from archival tiers.
struct ThawArguments: ParsableArguments {
    @Flag(help: "Bring back the packs that are needed from archival tiers, which costs money, and go on when they are there.") var thaw = false
    @Option(help: ArgumentHelp("How long what was brought back stays.", valueName: "days")) var thawDays = 7
    @Option(help: ArgumentHelp("How soon, and at what price: expedited, standard (12 hours at most) or bulk (48).", valueName: "tier"))
    var thawTier = ThawTier.standard
    @Flag(help: "Ask for them, and end with exit status 75 instead of waiting.") var noWait = false

    func validate() throws {
        guard (1...365).contains(thawDays) else { throw ValidationError("--thaw-days is a number from 1 to 365.") }
        if !thaw, noWait || thawDays != 7 || thawTier != .standard { throw ValidationError("--thaw-days, --thaw-tier and --no-wait go with --thaw.") }
    }

    /// Returns when everything that is to be restored can be read.
    ///
    /// Throws `.archived` where it cannot and `--thaw` was not given, or in a dry run; `.thawing` where it was asked for and `--no-wait` was given. Nothing is touched before.
    func require(
        _ root: BlobID, _ repository: OpenRepository, _ context: CommandContext, isDryRun: Bool = false,
        selection: (_ path: [UInt8], _ isDirectory: Bool) -> RestoreDecision = { _, _ in .restore }
    ) throws {
        guard repository.store.hasArchive else { return }
        var packs = try ThawedPacks(repository)
        try packs.add(root, selection: selection)
        try require(packs, for: "this restore", in: repository.store, context, isDryRun: isDryRun, less: " With --include, fewer may do.")
    }

    /// The same of packs that are known already.
    /// - Parameters:
    ///   - purpose: as in "this restore".
    ///   - less: how less would do, in a sentence with a space before it.
    func require(
        _ packs: ThawedPacks, for purpose: String, in store: any Store, _ context: CommandContext, isDryRun: Bool = false, less: String = ""
    ) throws {
        let state = try packs.state()
        guard !state.isReady else { return }
        let what = "\(NumberText.counted(state.count, "pack")), \(ByteCount.describe(state.bytes)),"
        guard thaw, !isDryRun else {
            let asked = state.thawing.isEmpty ? "" : "; \(NumberText.grouped(UInt64(state.thawing.count))) on the way"
            throw RepoError(
                .archived, "\(what) that \(purpose) needs \(state.count == 1 ? "is" : "are") in an archival tier\(asked)",
                advice: "Nothing was touched. Run it again with --thaw, which brings them back for \(NumberText.counted(thawDays, "day")) and goes on when they are there; "
                    + "--thaw-tier bulk is the cheapest.\(less)")
        }
        try ThawedPacks.request(state.archived, ThawRequest(days: thawDays, tier: thawTier.tier), in: store)
        let ready = try context.now().seconds + thawTier.tier.longestSeconds
        let time = TimeDisplay.local(FileTime(seconds: ready, nanoseconds: 0), in: context.zone)
        // Some stores are faster than they promise.
        let left = try ThawedPacks.state(of: state.archived + state.thawing, in: store)
        guard !left.isReady else { return }
        guard !noWait else {
            throw RepoError(
                .thawing, "\(what) asked for, \(NumberText.grouped(UInt64(left.count))) not there yet",
                advice: "Run this again with --thaw at \(time), or before: what is asked for already costs nothing more.")
        }
        context.note("\(what) on the way from the archive, and there at \(time) at the latest")
        var told = left.count
        try ThawedPacks.wait(for: left.archived + left.thawing, in: store, every: try interval(context.console)) { count in
            guard count < told else { return }
            told = count
            context.note("at most \(NumberText.counted(count, "pack is", "packs are")) not there yet")
        }
    }

    /// `REPO_THAW_SECONDS`: 60, or 300 for what takes hours.
    private func interval(_ console: Console) throws(RepoError) -> Duration {
        guard let text = console.variable("REPO_THAW_SECONDS") else { return .seconds(thawTier == .expedited ? 60 : 300) }
        guard let seconds = Int(text), (1...86_400).contains(seconds) else {
            throw RepoError(.usage, "REPO_THAW_SECONDS is '\(text)'", advice: "It is a number of seconds from 1 to 86400.")
        }
        return .seconds(seconds)
    }
}
