import Ingest
import RepoBase

/// pg_checksums: whether every page of the stopped cluster carries the checksum of what is in it.
struct ChecksumCheck {
    private let program: String

    static let name = "checksums"

    /// Throws `.usage` when it is not there.
    init(_ programs: ServerPrograms, major: Int) throws(RepoError) {
        program = try programs.path(of: "pg_checksums", package: "postgresql-\(major)")
    }

    /// The server has to be stopped in order before.
    func run(_ server: ThrowawayServer) throws -> DrillReport.Check {
        let clock = ContinuousClock()
        let begun = clock.now
        guard let data = server.data else { throw RepoError(.failed, "nothing was restored") }
        let (status, output) = try server.run([program, "--check", "-D", data])
        let seconds = DrillReport.rounded(clock.now - begun)
        let (pages, findings) = Self.read(output, data: data)
        let detail = pages.map { "\($0) pages" } ?? "all pages"
        if status == .exited(0), findings.isEmpty { return .init(Self.name, .passed, detail, seconds: seconds) }
        return .init(Self.name, .failed, detail, findings: findings.isEmpty ? ["pg_checksums failed: \(output)"] : findings, seconds: seconds)
    }

    /// `Blocks scanned:  2908`, and for each damaged one `pg_checksums: error: checksum verification failed in file "…/base/5/16384", block 0: calculated
    /// checksum 8C3F but block contains 4DE1`.
    static func read(_ output: String, data: String) -> (pages: UInt64?, findings: [String]) {
        var pages: UInt64?
        var findings: [String] = []
        for line in output.split(separator: "\n") {
            if line.hasPrefix("Blocks scanned:") { pages = UInt64(line.drop { !$0.isNumber }) }
            if line.hasPrefix("pg_checksums:") {
                let text = line.dropFirst("pg_checksums:".count).drop { $0 == " " }
                let plain = text.hasPrefix("error: ") ? text.dropFirst(7) : text
                findings.append(String(plain).replacing(data + "/", with: ""))
            }
        }
        return (pages, findings)
    }
}
