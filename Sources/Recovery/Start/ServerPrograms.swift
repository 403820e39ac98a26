import Glibc
public import RepoBase

/// `pg_ctl` and its kin, of the version that a cluster needs.
public struct ServerPrograms: Hashable, Sendable {
    public let folder: String

    /// Looks in `folder`, or else where Debian, Red Hat and PostgreSQL's own packages put them, and in PATH.
    ///
    /// Throws `.usage` when there are none of this major version.
    public init(major: Int, folder: String?) throws(RepoError) {
        let places =
            folder.map { [$0] } ?? ["/usr/lib/postgresql/\(major)/bin", "/usr/pgsql-\(major)/bin", "/usr/local/pgsql/bin"]
            + (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":").map(String.init)
        var found: [String] = []
        for place in places where access(place + "/pg_ctl", X_OK) == 0 {
            let answer = try ChildRun.run([place + "/pg_ctl", "--version"])
            // "pg_ctl (PostgreSQL) 15.18 (Debian …)"
            let words = answer.output.split(separator: " ")
            if answer.status == 0, words.count > 2, words[2].prefix(while: \.isNumber) == "\(major)" {
                self.folder = place
                return
            }
            found.append("\(place) (\(words.count > 2 ? words[2] : "?"))")
        }
        throw RepoError(
            .usage, "there is no pg_ctl of PostgreSQL \(major) here, which this cluster needs",
            advice: (found.isEmpty ? "" : "There is \(found.joined(separator: ", ")). ")
                + "Install it, name its folder with --postgres-bin, or restore without --start.")
    }

    private init(folder: String) { self.folder = folder }

    /// Where they are, or would be: for telling people what to type.
    public static func expected(major: Int, folder: String?) -> ServerPrograms {
        (try? ServerPrograms(major: major, folder: folder)) ?? ServerPrograms(folder: folder ?? "/usr/lib/postgresql/\(major)/bin")
    }

    var control: String { folder + "/pg_ctl" }
    var psql: String { folder + "/psql" }
}
