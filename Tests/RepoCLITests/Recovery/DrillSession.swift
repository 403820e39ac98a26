import Foundation
import Glibc
import PostgresTesting
import Testing

/// Restore tests on an archived server's repository, by the real program as the server's user, in a scratch folder of their own.
final class DrillSession {
    let archived: ArchivedServer
    let scratch: String
    /// A copy to spoil, where one was asked for.
    let repository: String

    init(_ archived: ArchivedServer, copying: Bool = false) throws {
        self.archived = archived
        scratch = try PostgresServer.makeFolder()
        guard copying else {
            repository = archived.folder.repository
            return
        }
        repository = scratch + "/repository"
        try PostgresServer.run(["/bin/cp", "-a", archived.folder.repository, repository])
    }

    deinit { _ = try? PostgresServer.run(["/bin/rm", "-rf", scratch], asServer: false) }

    struct Outcome: CustomStringConvertible {
        let status: Int
        let output: String
        let json: [String: Any]

        var description: String { "exit \(status): \(output)" }
        var checks: [String: [String: Any]] {
            let list = json["checks"] as? [[String: Any]] ?? []
            return Dictionary(list.map { ($0["name"] as? String ?? "", $0) }) { first, _ in first }
        }
        func result(_ check: String) -> String? { checks[check]?["result"] as? String }
        func findings(_ check: String) -> String { (checks[check]?["findings"] as? [String] ?? []).joined(separator: "\n") }
    }

    var variables: [String: String] {
        [
            "REPO_CONFIG": "/dev/null", "REPO_URL": repository, "REPO_KEY_FILE": "\(archived.folder.path)/machine.key",
            "REPO_CACHE_DIR": "\(archived.folder.path)/cache",
        ]
    }

    /// Any command; everything that it wrote.
    func run(_ arguments: String) throws -> (status: Int, output: String) {
        let exports = variables.map { "export \($0.key)=\($0.value)" }.joined(separator: "; ")
        let text = try PostgresServer.run(["/bin/sh", "-c", "\(exports); \(archived.program) \(arguments) 2>&1; echo \"status $?\""])
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return (Int(lines.last?.dropFirst("status ".count) ?? "") ?? -1, lines.dropLast().joined(separator: "\n"))
    }

    func drill(_ arguments: String) throws -> Outcome {
        let outcome = try run("drill --scratch \(scratch) --json \(arguments)")
        // The report is the last object; warnings come before it.
        let line = outcome.output.split(separator: "\n").last { $0.hasPrefix("{\"") && $0.contains("\"outcome\"") } ?? "{}"
        let json = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return Outcome(status: outcome.status, output: outcome.output, json: json ?? [:])
    }

    /// Folders of restore tests that are there.
    var leftovers: [String] { FileTree.names(scratch).filter { $0.hasPrefix("repo-throwaway.") } }

    /// The program as a process of its own, as whoever the tests run as.
    func program() -> ProgramUnderTest {
        ProgramUnderTest(folder: archived.folder.path, environment: variables, executable: archived.program)
    }

    /// Changes one byte of a file of the repository.
    func damage(_ path: String, at place: Double) throws {
        var bytes = try FileTree.read(path)
        bytes[Int(Double(bytes.count) * place)] ^= 1
        chmod(path, 0o600)
        try FileTree.write(path, bytes)
        try PostgresServer.own(path)
    }
}
