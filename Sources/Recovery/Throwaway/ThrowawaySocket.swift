import Glibc
import PostgresClient
import RepoBase

/// Where a throwaway server listens: in a folder that its own user and root alone can open.
enum ThrowawaySocket {
    /// Where folders for sockets are made whose own place has too long a path.
    static let scratch = "/tmp"
    /// `sun_path` of sockaddr_un (unix(7)), with its zero byte.
    private static let pathLimit = 108

    /// A folder for the server to make its socket in: in its own folder, or in one below `/tmp`, which is then `own` and to be removed. Throws `.failed`.
    static func make(in folder: ThrowawayFolder, owner: FileOwner) throws(RepoError) -> (path: String, own: ThrowawayFolder?) {
        var own: ThrowawayFolder?
        if "\(folder.path)/s/.s.PGSQL.\(ThrowawaySettings.port)".utf8.count >= pathLimit { own = try ThrowawayFolder(in: scratch) }
        let path = "\((own ?? folder).path)/s"
        guard mkdir(path, 0o700) == 0 || errno == EEXIST, geteuid() != 0 || lchown(path, owner.user, owner.group) == 0 else {
            let failure = TextFile.failure("make", path)
            try? own?.remove()
            throw failure
        }
        return (path, own)
    }

    /// How to reach the server there.
    static func target(_ path: String, user: String, _ database: String) throws(RepoError) -> ConnectionTarget {
        // Everything is named, so that nothing of our environment (PGHOST, PGSERVICE, PGOPTIONS) leads elsewhere.
        let words = [
            ("host", path), ("port", "\(ThrowawaySettings.port)"), ("user", user), ("dbname", database), ("sslmode", "disable"), ("options", ""),
            ("connect_timeout", "30"),
        ]
        return try ConnectionTarget(words.map { "\($0.0)=\(ConnectionTarget.quoted($0.1))" }.joined(separator: " "))
    }
}
