import ArgumentParser

/// Options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        name: .customLong("repo"),
        help: ArgumentHelp("The repository: a path, file:PATH, s3://BUCKET/PREFIX, azblob://CONTAINER/PREFIX, gs://BUCKET/PREFIX, or sftp://USER@HOST/PATH. [REPO_URL]", valueName: "url"))
    var repository: String?

    @Option(help: ArgumentHelp("Read the password from this file. [REPO_PASSWORD_FILE]", valueName: "file"))
    var passwordFile: String?

    @Option(
        help: ArgumentHelp(
            "Take the first line that this shell command prints as the password. [REPO_PASSWORD_COMMAND]",
            valueName: "command"))
    var passwordCommand: String?

    @Option(
        help: ArgumentHelp("Unlock with the machine key in this file. [REPO_KEY_FILE]", valueName: "file"))
    var keyFile: String?

    @Option(
        help: ArgumentHelp(
            "The configuration; otherwise /etc/repo/repo.toml, then ~/.config/repo/repo.toml. [REPO_CONFIG]",
            valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "Where index tables and copies of small objects are kept between runs; may be deleted. [REPO_CACHE_DIR]", valueName: "folder")
    )
    var cacheDir: String?

    @Option(help: ArgumentHelp("Send at most so many bytes a second to a remote repository, as in 2M.", valueName: "rate"))
    var limitUpload: String?

    @Option(help: ArgumentHelp("Fetch at most so many bytes a second from a remote repository, as in 10M.", valueName: "rate"))
    var limitDownload: String?

    @Flag(help: "Print results as JSON.")
    var json = false

    @Flag(name: .shortAndLong, help: "Print results and errors only.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Print more; with --json, progress as well.")
    var verbose = false

    /// The same for another run of the program; how it prints is left out.
    var arguments: [String] {
        let values = [
            ("--repo", repository), ("--password-file", passwordFile), ("--password-command", passwordCommand), ("--key-file", keyFile),
            ("--config", config), ("--cache-dir", cacheDir), ("--limit-upload", limitUpload), ("--limit-download", limitDownload),
        ]
        return values.flatMap { name, value in value.map { [name, $0] } ?? [] }
    }

    func validate() throws {
        if quiet, verbose { throw ValidationError("--quiet and --verbose exclude each other.") }
        let credentials = [
            ("--password-file", passwordFile), ("--password-command", passwordCommand),
            ("--key-file", keyFile),
        ].filter { $0.1 != nil }.map(\.0)
        if credentials.count > 1 {
            throw ValidationError("\(credentials.joined(separator: " and ")) exclude each other.")
        }
    }
}
