import Glibc
public import PostgresClient
public import RepoBase

/// pg_dump and its relatives, of one version that can dump a server of another.
public struct DumpTools: Hashable, Sendable {
    /// Where they stand; each is `<folder>/<name>`.
    public let folder: String
    public let version: PostgresVersion

    public var dump: String { folder + "/pg_dump" }
    public var dumpAll: String { folder + "/pg_dumpall" }
    public var restore: String { folder + "/pg_restore" }

    /// Finds them: on PATH, then where Debian and Red Hat put each version's own. Throws `.usage` when none is as new as the server, since an older
    /// pg_dump refuses a newer server.
    public init(for server: PostgresVersion) throws(RepoError) {
        var tooOld: PostgresVersion?
        for folder in Self.folders(server.major) {
            guard let version = Self.version(of: folder + "/pg_dump") else { continue }
            guard version.major >= server.major else {
                tooOld = max(tooOld ?? version, version)
                continue
            }
            guard ["pg_dumpall", "pg_restore"].allSatisfy({ access("\(folder)/\($0)", X_OK) == 0 }) else { continue }
            (self.folder, self.version) = (folder, version)
            return
        }
        let advice = "Install the client programs of PostgreSQL \(server.major) or newer (on Debian: postgresql-client-\(server.major))."
        guard let tooOld else { throw RepoError(.usage, "there is no pg_dump on this machine", advice: advice) }
        throw RepoError(
            .usage, "the server is PostgreSQL \(server), and the newest pg_dump on this machine is \(tooOld): it cannot dump a newer server",
            advice: advice)
    }

    private static func folders(_ major: Int) -> [String] {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let versions = (major...max(major, PostgresVersion.newestKnown) + 2)
        return path.split(separator: ":").map(String.init)
            + versions.flatMap { ["/usr/lib/postgresql/\($0)/bin", "/usr/pgsql-\($0)/bin"] }
    }

    /// `pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`; development versions have no dot.
    static func version(printed text: String) -> PostgresVersion? {
        let words = text.split(separator: " ")
        guard words.count >= 3, words[1] == "(PostgreSQL)" else { return nil }
        let numbers = words[2].split { !$0.isNumber }.compactMap { Int($0) }
        guard let major = numbers.first else { return nil }
        return PostgresVersion(number: major * 10_000 + (numbers.count > 1 ? numbers[1] : 0))
    }

    private static func version(of program: String) -> PostgresVersion? {
        guard access(program, X_OK) == 0, let child = try? ChildProcess([program, "--version"]) else { return nil }
        let text = child.readAll(atMost: 4096)
        guard child.wait() == .exited(0) else { return nil }
        return version(printed: String(decoding: text, as: UTF8.self))
    }
}
