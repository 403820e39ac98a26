public import RepoBase

/// How objects are kept from being deleted, by anybody, for a while after they were put (WORM).
///
/// The names are those of S3: "How S3 Object Lock works", Amazon S3 user guide.
public struct ObjectLock: Hashable, Sendable, CustomStringConvertible {
    public enum Mode: String, Hashable, Sendable, CaseIterable {
        /// Accounts with a right of their own may lift the lock.
        case governance
        /// Nobody may, the account's owner included.
        case compliance
    }

    public let mode: Mode
    /// How long an object stays after it was put, or after its lock was last extended.
    public let seconds: Int64

    public init(_ mode: Mode, seconds: Int64) {
        precondition(seconds > 0)
        (self.mode, self.seconds) = (mode, seconds)
    }

    /// `compliance:30d`: a mode, and a number with one of the units d, h, m (minutes) and s. At most 100 years. Throws `.usage`.
    public init(parsing text: String) throws(RepoError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let units: [Character: Int64] = ["d": 86_400, "h": 3600, "m": 60, "s": 1]
        guard parts.count == 2, let mode = Mode(rawValue: String(parts[0])), let unit = parts[1].last.flatMap({ units[$0] }),
            case let digits = parts[1].dropLast(), !digits.isEmpty, digits.utf8.count <= 9, digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let number = Int64(digits), number > 0, number * unit <= 36_525 * 86_400
        else {
            throw RepoError(
                .usage, "'\(text)' is no lock for objects",
                advice: "Write a mode, governance or compliance, and how long it lasts, as in compliance:30d.")
        }
        self.init(mode, seconds: number * unit)
    }

    public var description: String {
        let (count, unit) = seconds % 86_400 == 0 ? (seconds / 86_400, "d") : seconds % 3600 == 0 ? (seconds / 3600, "h") : (seconds, "s")
        return "\(mode.rawValue):\(count)\(unit)"
    }

    /// What a repository needs to be read, and the record of what was done to it: all that is written once. Signs of life, records of collections, what is left of
    /// probes and what is replaced again and again are not locked.
    public static func covers(_ key: StoreKey) -> Bool {
        let name = key.description
        return needed.contains { name.hasPrefix($0) } && !name.hasSuffix(".received") || name == "config" || name.hasPrefix("journal/")
    }

    /// Of these the locks are extended for as long as they are there; entries of the journal go out of theirs.
    public static func isExtended(_ key: StoreKey) -> Bool { covers(key) && !key.description.hasPrefix("journal/") }

    private static let needed = ["packs/", "index/", "snapshots/", "keys/", "configs/", "wal/"]
}
