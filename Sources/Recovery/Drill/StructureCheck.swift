import Glibc
import Ingest
import PostgresClient
import RepoBase

/// pg_amcheck: whether tables and their indexes are what they claim to be.
struct StructureCheck {
    private let program: String

    static let name = "amcheck"

    /// pg_amcheck came with PostgreSQL 14, and the extension that it uses is part of the server's package on Debian, of `contrib` elsewhere.
    ///
    /// Nil for 13. Throws `.usage` when the one or the other is not there.
    init?(_ programs: ServerPrograms, major: Int) throws(RepoError) {
        guard major >= 14 else { return nil }
        program = try programs.path(of: "pg_amcheck", package: "postgresql-\(major)")
        guard try programs.hasLibrary("amcheck") else {
            throw RepoError(
                .usage, "the extension amcheck of PostgreSQL \(major) is not installed here",
                advice: "Install it (on Debian: postgresql-\(major); elsewhere: postgresql\(major)-contrib), or leave it out with --no-amcheck.")
        }
    }

    /// Looks at every database that can be connected to. Its own extension is made where it is missing: the server is thrown away.
    func run(_ server: ThrowawayServer, _ options: DrillOptions) throws -> DrillReport.Check {
        let clock = ContinuousClock()
        let begun = clock.now
        var command = [program, "--all", "--install-missing", "--jobs=\(max(1, options.jobs))", "--maintenance-db=\(try server.anyDatabase())"]
        if options.checksRowsInIndexes { command.append("--heapallindexed") }
        let (status, output) = try server.run(command + server.connectionArguments())
        let seconds = DrillReport.rounded(clock.now - begun)
        let detail = "tables and B-tree indexes of all databases" + (options.checksRowsInIndexes ? ", every row in its indexes" : "")
        let findings = Self.findings(output)
        switch status {
        case .exited(0) where findings.isEmpty: return .init(Self.name, .passed, detail, seconds: seconds)
        // 2: corruption was found. 1: it could not look; what it said is a finding as well.
        case .exited(0), .exited(1), .exited(2):
            return .init(Self.name, .failed, detail, findings: findings.isEmpty ? ["pg_amcheck found damage and named none"] : findings, seconds: seconds)
        case .exited(let code), .signalled(let code):
            return .init(Self.name, .failed, detail, findings: ["pg_amcheck ended with \(code)"] + findings, seconds: seconds)
        }
    }

    /// `heap table "shop.public.orders", block 3, offset 2, attribute 1:`, and what is wrong with it indented below.
    static func findings(_ output: String) -> [String] {
        var findings: [String] = []
        for line in output.split(separator: "\n") {
            if line.hasPrefix(" ") || line.hasPrefix("\t"), !findings.isEmpty {
                let text = line.drop { $0 == " " || $0 == "\t" }
                findings[findings.count - 1] += findings.last?.hasSuffix(":") == true ? " \(text)" : "; \(text)"
            } else {
                findings.append(String(line))
            }
        }
        return findings
    }
}

extension ServerPrograms {
    /// Whether the server can load a library of this name from where its own are.
    func hasLibrary(_ name: String) throws(RepoError) -> Bool {
        var folders = libraryFolders
        if access(folder + "/pg_config", X_OK) == 0, let answer = try? ChildRun.run([folder + "/pg_config", "--pkglibdir"]), answer.status == 0 {
            folders.append(answer.output)
        }
        return folders.contains { access("\($0)/\(name).so", R_OK) == 0 }
    }
}
