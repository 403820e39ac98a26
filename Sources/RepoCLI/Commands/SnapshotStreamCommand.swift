import ArgumentParser
import Glibc
import Ingest
import RepoBase

struct SnapshotStreamCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "stdin",
        abstract: "Back up what comes on standard input.",
        discussion: """
            A pipe does not tell whether the program before it failed; 'repo snapshot command' does, and makes no \
            snapshot then.

            Example:
              pg_dump shop | repo snapshot stdin --name shop.sql
            """)

    @Option(help: ArgumentHelp("The source's name, and the file's in the snapshot.", valueName: "name"))
    var name: String
    @OptionGroup var snapshot: SnapshotArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let description = try snapshot.description(name, context)
        let source = try StreamSource(description, kind: "stdin")
        return try SnapshotRun(context, snapshot).run(description, size: context.inputSize) {
            try source.run($0, descriptor: context.console.input, onStart: $1)
        }
    }
}

struct SnapshotProgramCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "command",
        abstract: "Back up what a command writes to its standard output.",
        discussion: """
            A command that exits with another status than 0, or is killed, leaves no snapshot. No shell is involved.

            Examples:
              repo snapshot command --name shop.sql -- pg_dump shop
              repo snapshot command --name all.sql -- sh -c 'pg_dumpall | grep -v ^--'
            """)

    @Option(help: ArgumentHelp("The source's name, and the file's in the snapshot.", valueName: "name"))
    var name: String
    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("After '--': the program and its arguments.", valueName: "command"))
    var command: [String] = []
    @OptionGroup var snapshot: SnapshotArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if command.isEmpty { throw ValidationError("There is no command to run; give it after '--'.") }
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let description = try snapshot.description(name, context)
        let source = try CommandSource(description, command: command)
        return try SnapshotRun(context, snapshot).run(description) { try source.run($0, onStart: $1) }
    }
}

extension CommandContext {
    /// Bytes that standard input will give, where it is a file.
    fileprivate var inputSize: UInt64? {
        var status = stat()
        guard fstat(console.input, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        let position = lseek(console.input, 0, SEEK_CUR)
        return UInt64(max(0, status.st_size - max(0, position)))
    }
}
