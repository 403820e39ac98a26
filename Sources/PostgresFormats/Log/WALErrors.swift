import RepoBase

extension RepoError {
    /// A file of the log that cannot be what it should be. Unlike `damaged`, the file may not be in the repository yet.
    static func damagedLog(_ object: String, _ why: String) -> RepoError {
        RepoError(
            .damaged, "\(object) is damaged: \(why)",
            advice: "Compare it with 'pg_waldump' on the server; a base backup taken now does not depend on it.")
    }
}
