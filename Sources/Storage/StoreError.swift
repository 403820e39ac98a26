package import RepoBase

/// The errors that every store words alike.
package enum StoreError {
    package static func notFound(_ key: StoreKey, in location: String) -> RepoError {
        RepoError(
            .notFound, "\(key) is not in \(location)",
            advice: "If it should be there, run 'repo check' to see what it concerns.")
    }

    /// A create-only put on a name that exists.
    package static func conflict(_ key: StoreKey, in location: String) -> RepoError {
        RepoError(.conflict, "\(key) already exists in \(location)")
    }
}
