import ArgumentParser
import RepoBase
import Repository
import Storage
import WALArchive

/// Where what is damaged comes back from.
struct HealingArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Bring back from this repository what is damaged or missing.", valueName: "url"))
    var healFrom: String?
    @Option(help: ArgumentHelp("Read that repository's password from this file.", valueName: "file"))
    var healPasswordFile: String?
    @Option(help: ArgumentHelp("Unlock that repository with the machine key in this file.", valueName: "file"))
    var healKeyFile: String?
    @Flag(help: "Bring back from the configured copies what is damaged or missing.")
    var heal = false

    func validate() throws {
        if healPasswordFile != nil, healKeyFile != nil { throw ValidationError("--heal-password-file and --heal-key-file exclude each other.") }
        if healFrom == nil, healPasswordFile != nil || healKeyFile != nil {
            throw ValidationError("How to unlock the other repository is said, and not which: add --heal-from.")
        }
        if healFrom != nil, heal { throw ValidationError("--heal and --heal-from exclude each other.") }
    }

    /// In the order in which they are tried; none where nothing is to be healed. Throws `.usage`.
    func copies(_ context: CommandContext) throws -> [OtherRepository] {
        if let healFrom {
            return [try OtherRepository(ConfiguredRepository(url: healFrom, passwordFile: healPasswordFile, keyFile: healKeyFile), context)]
        }
        guard heal else { return [] }
        let configured = try context.configuration().copies
        guard !configured.isEmpty else {
            throw RepoError(.usage, "no copy is configured to heal from", advice: "Name one with --heal-from, or write a [[copy]] into the configuration.")
        }
        return try configured.map { try OtherRepository($0, context) }
    }

    /// A copy that cannot help keeps no other from helping: what it failed with is a warning.
    func attempt(_ context: CommandContext, _ heal: () throws -> Void) throws {
        do {
            try heal()
        } catch let error as RepoError where error.code != .interrupted {
            context.warn(error.message)
        }
    }

    /// Heals what a check found, as far as the copy can; says what was done.
    func heal(_ repository: OpenRepository, from copy: OtherRepository, _ report: CheckReport, _ context: CommandContext) throws {
        let other = try copy.open(context)
        let outcome = try Healing(repository, from: other).run(report)
        let (log, sent) = try LogCopy(from: other, to: repository).heal(report.errors)
        for problem in outcome.problems { context.warn(problem) }
        for failure in sent.failures { context.warn("\(failure.object): \(failure.error.message)") }
        for object in outcome.healed + log { context.note("healed from \(other.store.location): \(object)") }
    }
}
