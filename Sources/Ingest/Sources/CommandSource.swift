import Glibc
public import RepoBase
public import Repository

/// A snapshot of what a command writes to its standard output.
///
/// Only a command that exits with 0 becomes a snapshot: a dump that failed halfway is no backup.
public struct CommandSource: Sendable {
    private let description: SourceDescription
    private let command: [String]

    /// - Parameter command: the program, found by PATH, and its arguments; no shell is involved.
    public init(_ description: SourceDescription, command: [String]) throws(RepoError) {
        guard !command.isEmpty else {
            throw RepoError(.usage, "there is no command to run", advice: "Give it after '--'.")
        }
        self.description = description
        self.command = command
    }

    /// The command's standard error goes to ours. It starts when the repository is ready to take what it writes, and is ended when the
    /// snapshot fails or is cancelled before: asked to by SIGTERM, and made to five seconds later.
    public func run(
        _ repository: OpenRepository, onStart: (SnapshotWriter) -> Void = { _ in }
    ) throws -> SourceOutcome {
        let source = try StreamSource(description, kind: "command")
        var child: ChildProcess?
        do {
            return try source.run(
                repository,
                descriptor: { writer in
                    let started = try ChildProcess(command)
                    child = started
                    writer.running.onCancel { started.kill() }
                    return started.output
                },
                onStart: onStart,
                completed: {
                    guard let status = child?.wait(), status != .exited(0) else { return }
                    throw Self.failure(command[0], status)
                })
        } catch {
            child?.kill()
            _ = child?.wait()
            throw error
        }
    }

    /// A program that ended otherwise than with 0.
    static func failure(_ program: String, _ status: ChildProcess.Status) -> RepoError {
        let what =
            switch status {
            case .exited(let code): "exited with \(code)"
            case .signalled(let signal): "was killed by signal \(signal)"
            }
        return RepoError(
            .sourceFailed, "'\(program)' \(what), so what it wrote is not taken for a backup",
            advice: "No snapshot was made. See its messages above, mend it, and run the snapshot again.")
    }
}
