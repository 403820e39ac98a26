import ArgumentParser
import Ingest
import Policy
import RepoBase
import Repository

/// Options of every form of `repo snapshot`.
struct SnapshotArguments: ParsableArguments {
    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("Mark the snapshot; may be repeated.", valueName: "key=value"))
    var tags: [String] = []

    @Option(
        help: ArgumentHelp(
            "The snapshot's time instead of now, as in '2026-11-03 02:30:00'.", valueName: "time"))
    var time: String?

    @Option(
        help: ArgumentHelp("The host's name in the snapshot instead of this machine's.", valueName: "name"))
    var host: String?

    @Flag(name: .customLong("dry-run"), help: "Read everything, store nothing, and say what would be added.")
    var isDryRun = false

    @Flag(help: "Afterwards read back from the repository what this snapshot added.")
    var verify = false

    @Option(help: ArgumentHelp("zstd's level, 1 to 19.", valueName: "level"))
    var compressionLevel: Int32?

    @Option(
        help: ArgumentHelp(
            "Which earlier versions new content is stored as differences to: auto (from a remote repository, those that cost fewer bytes down than they save up), always, or never.",
            valueName: "auto|always|never"))
    var deltaBases: String?

    func validate() throws {
        for tag in tags where tag.firstIndex(of: "=").map({ $0 == tag.startIndex }) ?? true {
            throw ValidationError("'\(tag)' is not a tag; write it as KEY=VALUE.")
        }
        if let compressionLevel, !(1...19).contains(compressionLevel) {
            throw ValidationError("--compression-level is a number from 1 to 19.")
        }
        if let deltaBases, DeltaBaseChoice(rawValue: deltaBases) == nil {
            throw ValidationError("--delta-bases is one of auto, always and never.")
        }
        if isDryRun, verify { throw ValidationError("--dry-run stores nothing that --verify could read.") }
    }

    /// What the options say about a source of that name.
    func description(
        _ name: String, _ context: CommandContext, configured: ConfiguredSource? = nil
    ) throws -> SourceDescription {
        let stamp = JournalStamp.now()
        var description = SourceDescription(
            name: name, host: host ?? configured?.host ?? stamp.host, user: stamp.user,
            tags: (configured?.tags ?? []) + tags)
        description.options.remembers = !isDryRun
        if let time { description.time = try context.moment(time) }
        if let level = compressionLevel ?? configured?.compressionLevel {
            description.options.compressionLevel = level
        }
        if let choice = deltaBases.flatMap(DeltaBaseChoice.init(rawValue:)) ?? configured?.deltaBases { description.options.deltaBases = choice }
        return description
    }
}

extension CommandContext {
    /// A time that somebody wrote; tells how it was understood where that is not obvious.
    func moment(_ text: String) throws -> FileTime {
        let resolved = try ResolvedTime.parse(text, now: now(), zone: zone)
        if let remark = resolved.note { note(remark) }
        if resolved.zoneWasAssumed { note("'\(text)' is \(TimeText.utc(resolved.timestamp))") }
        return FileTime(
            seconds: resolved.timestamp.seconds, nanoseconds: UInt32(resolved.timestamp.nanoseconds))
    }

    func now() throws -> Timestamp {
        let now = FileTime.now()
        return try Timestamp(seconds: now.seconds, nanoseconds: Int32(now.nanoseconds))
    }
}
