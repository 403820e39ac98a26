import Glibc
import PostgresFormats
public import RepoBase

/// What a data directory on this machine tells of its cluster.
public enum DataDirectory {
    /// The system identifier in `global/pg_control`. Nil where there is no such file; throws `.sourceFailed` when it cannot be read, and
    /// `.damaged`.
    public static func systemIdentifier(_ directory: String) throws(RepoError) -> UInt64? {
        let path = directory + "/global/pg_control"
        guard access(path, F_OK) == 0 else { return nil }
        let content = try LocalContent.read(path, atMost: 1 << 20)
        defer { extendLifetime(content) }
        return try ControlFile(content.bytes, object: path).systemIdentifier
    }

    /// The data directory that a path below its `pg_wal` belongs to, as `%p` gives it, relative to the current directory.
    static func holding(_ path: String) -> String {
        let folder = Self.parent(of: path)
        return folder == "." ? ".." : Self.parent(of: folder)
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
