import Glibc
public import RepoBase

/// `pg_ctl` and its kin, of the version that a cluster needs.
public struct ServerPrograms: Hashable, Sendable {
    public let folder: String

    /// Looks in `folder`, or else where Debian, Red Hat and PostgreSQL's own packages put them, and in PATH.
    ///
    /// - Parameter isOptional: whether what was asked for can be done without them.
    /// Throws `.usage` when there are none of this major version.
    public init(major: Int, folder: String?, isOptional: Bool = true) throws(RepoError) {
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
                + "Install it (on Debian: postgresql-\(major)), "
                + (isOptional ? "name its folder with --postgres-bin, or restore without --start." : "or name its folder with --postgres-bin."))
    }

    private init(folder: String) { self.folder = folder }

    /// Where they are, or would be: for telling people what to type.
    public static func expected(major: Int, folder: String?) -> ServerPrograms {
        (try? ServerPrograms(major: major, folder: folder)) ?? ServerPrograms(folder: folder ?? "/usr/lib/postgresql/\(major)/bin")
    }

    var control: String { folder + "/pg_ctl" }
    var psql: String { folder + "/psql" }
    /// The server itself.
    public var server: String { folder + "/postgres" }

    /// A program that stands beside the others, and may be a package of its own. Throws `.usage` when it is not there.
    public func path(of program: String, package: String) throws(RepoError) -> String {
        let path = "\(folder)/\(program)"
        guard access(path, X_OK) == 0 else {
            throw RepoError(.usage, "there is no \(program) in '\(folder)'", advice: "Install it (on Debian: \(package)).")
        }
        return path
    }

    /// Where the server's loadable libraries are, as far as that is known: `pg_config --pkglibdir`.
    var libraryFolders: [String] { ["\(folder)/../lib", "\(folder)/../lib/postgresql", "\(folder)/../lib64/postgresql"] }
}
