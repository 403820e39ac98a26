public import RepoBase

/// `server_version_num`, and what differs between versions (release notes of PostgreSQL 13 to 18).
public struct PostgresVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// As the server tells it: 150018.
    public let number: Int

    public init(number: Int) { self.number = number }

    public var major: Int { number / 10_000 }
    public var description: String { "\(major).\(number % 10_000)" }

    /// The first with a backup manifest.
    public static let oldestSupported = 13
    /// The newest whose log and control file are known to this program.
    public static let newestKnown = 18

    /// Throws `.usage` for versions that this program cannot back up.
    public func requireSupported() throws(RepoError) {
        guard major >= Self.oldestSupported else {
            throw RepoError(
                .usage, "the server is PostgreSQL \(self); its base backups have no manifest to verify them by",
                advice: "PostgreSQL \(Self.oldestSupported) or newer is needed; back older ones up with 'repo snapshot postgres --logical'.")
        }
    }

    public static func < (a: PostgresVersion, b: PostgresVersion) -> Bool { a.number < b.number }
}
