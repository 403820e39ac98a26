import Glibc

/// Data directories of PostgreSQL, running or as a base backup left them.
enum PostgreSQLCluster {
    /// Whether a directory is the root of one: it has `PG_VERSION` and `global/pg_control`.
    ///
    /// Cost: two searches in the listing; a system call only where those succeed.
    static func isRoot(_ directory: CInt, _ listing: DirectoryListing, calls: FileSystemCalls) -> Bool {
        guard listing.contains("PG_VERSION"), listing.contains("global") else { return false }
        var status = stat()
        return "global/pg_control".withCString { calls.status($0, in: directory, into: &status) } >= 0
    }
}
