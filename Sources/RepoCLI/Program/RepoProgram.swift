import BlobEngine
import CLinux
import Glibc

/// The program.
public enum RepoProgram {
    /// Runs the command line of this process and ends it.
    public static func main() -> Never {
        // Writing to a reader that went away is reported by write(2) and ends the command in order.
        signal(SIGPIPE, SIG_IGN)
        // Keys are in memory from here on: no core dump, and nobody but root reads it. Programs that are started are not concerned.
        _ = linux_forbid_dumps()
        LibcryptoMemory.useHugePages()
        let console = Console.system()
        Interruption.watch(console)
        let runner = CommandRunner(console: console)
        let arguments = Array(CommandLine.arguments.dropFirst())
        var status = runner.run(arguments)
        do {
            try console.closeOutput()
        } catch {
            let failure = runner.report(error, asJSON: arguments.contains("--json"))
            if status == ExitStatus.done { status = failure }
        }
        exit(status)
    }
}
