import Ingest
import RepoBase

/// Runs a line of /bin/sh for what it prints.
enum ShellCommand {
    /// Throws `.usage` unless it exits with 0. Its standard input and error are ours.
    static func output(_ line: String, _ what: String) throws(RepoError) -> [UInt8] {
        var child: ChildProcess
        do {
            child = try ChildProcess(["/bin/sh", "-c", line])
        } catch {
            throw failure(what, error.message)
        }
        let output = Result { () throws(RepoError) in
            try LocalFile.read(child.output, line, what, limit: 1 << 20)
        }
        switch child.wait() {
        case .exited(0): return try output.get()
        case .exited(let code): throw failure(what, "it exited with \(code)")
        case .signalled: throw failure(what, "it was killed")
        }
    }

    private static func failure(_ what: String, _ why: String) -> RepoError {
        RepoError(.usage, "\(what) failed: \(why)")
    }
}
