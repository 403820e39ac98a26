import CPQ
import RepoBase

/// libpq, which is loaded when it is first needed: few commands do, and it takes milliseconds.
enum ClientLibrary {
    /// To be called before the first function of libpq. Throws `.failed` where the system has none.
    static func load() throws(RepoError) {
        guard let problem = repo_pq_load() else { return }
        throw RepoError(
            .failed, "PostgreSQL's client library cannot be loaded: \(String(cString: problem))",
            advice: "Install libpq: the package libpq5 of Debian and Ubuntu, libpq of others.")
    }
}
