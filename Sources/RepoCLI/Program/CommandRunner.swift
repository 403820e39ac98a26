import ArgumentParser
import Policy
import RepoBase

/// A command that does its work with what surrounds it passed in, and says how it ended.
protocol RepoSubcommand: ParsableCommand {
    var global: GlobalOptions { get }

    /// Returns the exit status; throws what `CommandRunner` reports.
    func run(_ context: CommandContext) throws -> Int32

    /// For commands whose exit statuses another program gives a meaning of its own.
    func exitStatus(of error: RepoError) -> Int32
}

extension RepoSubcommand {
    func exitStatus(of error: RepoError) -> Int32 { error.code.exitStatus }

    /// Commands are run by `CommandRunner`, which calls `run(_:)`.
    mutating func run() throws { throw CleanExit.helpRequest(self) }
}

/// Parses a command line, runs its command, reports its error, and returns the exit status.
struct CommandRunner {
    let console: Console

    func run(_ arguments: [String]) -> Int32 {
        var command: any ParsableCommand
        let moved = LeadingOptions.moved(arguments)
        do {
            command = try RepoCommand.parseAsRoot(moved)
        } catch {
            let status = parsingFailed(error, wantsJSON: arguments.contains("--json"))
            return status != ExitStatus.done && moved.starts(with: WALGetCommand.arguments) ? ExitStatus.notTheEndOfTheLog : status
        }
        guard let command = command as? any RepoSubcommand else {
            // Help and groups that were named without a subcommand.
            do { try command.run() } catch { return parsingFailed(error, wantsJSON: false) }
            return ExitStatus.done
        }
        return run(command)
    }

    func run(_ command: any RepoSubcommand) -> Int32 {
        do {
            return try command.run(CommandContext(console: console, options: command.global))
        } catch {
            return report(error, asJSON: command.global.json) { command.exitStatus(of: $0) }
        }
    }

    /// Requests for help and versions are no errors; everything else is wrong usage.
    private func parsingFailed(_ error: any Error, wantsJSON: Bool) -> Int32 {
        let text = RepoCommand.fullMessage(for: error)
        if RepoCommand.exitCode(for: error) == .success {
            do { try console.print(text) } catch { return ExitStatus.readerGone }
            return ExitStatus.done
        }
        let usage = text.split(separator: "\n").last { $0.contains("Usage: ") || $0.contains("See '") }
        return report(
            RepoError(
                .usage, RepoCommand.message(for: error),
                advice: usage.map { $0.drop { $0 == " " } }.map(String.init) ?? ""),
            asJSON: wantsJSON)
    }

    /// Prints what failed and what to do next, and returns the exit status that belongs to it.
    func report(_ error: any Error, asJSON: Bool, exitStatus: (RepoError) -> Int32 = { $0.code.exitStatus }) -> Int32 {
        if error is Console.ReaderGone { return ExitStatus.readerGone }
        if let code = error as? ExitCode { return code.rawValue }
        let error = RepoError(reporting: error)
        if asJSON {
            console.note(JSONOutput.line(ErrorReport(error)))
        } else {
            console.note("\(console.name) \(error.message)")
            if !error.advice.isEmpty { console.note(error.advice) }
        }
        return exitStatus(error)
    }
}

extension RepoError {
    /// Errors of the parts that have their own, as people are to see them.
    init(reporting error: any Error) {
        switch error {
        case let error as RepoError: self = error
        case let error as TimeError: self.init(.usage, "\(error)")
        case let error as RetentionError: self.init(.usage, "\(error)")
        default: self.init(.failed, "\(error)")
        }
    }
}

/// An error with `--json`: one object on standard error.
private struct ErrorReport: Encodable {
    let error: String
    let message: String
    let advice: String
    let exitStatus: Int32

    init(_ error: RepoError) {
        self.error = error.code.description
        message = error.message
        advice = error.advice
        exitStatus = error.code.exitStatus
    }
}
