import ArgumentParser
import RepoBase

/// Where to copy to, and how it is unlocked.
struct CopyDestinationArguments: ParsableArguments {
    @Option(name: .customLong("to"), help: ArgumentHelp("The other repository; otherwise every [[copy]] of the configuration.", valueName: "url"))
    var destination: String?
    @Option(help: ArgumentHelp("Read the other repository's password from this file.", valueName: "file"))
    var toPasswordFile: String?
    @Option(help: ArgumentHelp("Take the first line that this shell command prints as the other repository's password.", valueName: "command"))
    var toPasswordCommand: String?
    @Option(help: ArgumentHelp("Unlock the other repository with the machine key in this file.", valueName: "file"))
    var toKeyFile: String?

    func validate() throws {
        let credentials = [toPasswordFile, toPasswordCommand, toKeyFile].compactMap { $0 }
        if credentials.count > 1 { throw ValidationError("--to-password-file, --to-password-command and --to-key-file exclude each other.") }
        if destination == nil, !credentials.isEmpty { throw ValidationError("How to unlock the other repository is said, and not which: add --to.") }
    }

    /// The one that was named, or all that are configured. Throws `.usage` where there is none.
    func destinations(_ context: CommandContext) throws -> [ConfiguredRepository] {
        if let destination {
            return [
                ConfiguredRepository(
                    url: destination, passwordFile: toPasswordFile, passwordCommand: toPasswordCommand, keyFile: toKeyFile)
            ]
        }
        let configured = try context.configuration().copies
        guard !configured.isEmpty else {
            throw RepoError(
                .usage, "no repository to copy to was named", advice: "Name one with --to, or write a [[copy]] with its url into the configuration.")
        }
        return configured
    }
}
