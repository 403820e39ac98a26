import Policy
import Repository
import Storage

/// What the configuration file says.
struct Configuration: Equatable {
    var repository = ConfiguredRepository()
    /// For sources without a retention of their own.
    var retention: RetentionRules?
    var sources: [ConfiguredSource] = []
    /// Repositories that `repo copy` sends to, and that damage is healed from.
    var copies: [ConfiguredRepository] = []
}

/// `[repository]`: where it is and how it is unlocked, for want of options and environment variables. The same of a `[[copy]]`.
struct ConfiguredRepository: Equatable {
    var url: String?
    var passwordFile: String?
    var passwordCommand: String?
    var keyFile: String?
    /// Whether it is elsewhere than the data, for counting copies; nil: as its location tells.
    var isOffSite: Bool?
    /// Bytes of copies of a remote repository's objects on this machine; 0 for none.
    var cacheSize: UInt64?
    /// Bytes that the repository may take; nil: as many as its file system has.
    var capacity: UInt64?
    /// The part of that from which on `stats` warns, 0 to 1.
    var capacityWarning = 0.9
    /// How fast bytes may go to a remote repository and come from it.
    var rates = RateSchedule()
}

/// `[[source]]`.
struct ConfiguredSource: Equatable {
    var name: String
    var kind: Kind
    var host: String?
    /// Each `K=V`.
    var tags: [String] = []
    var compressionLevel: Int32?
    var deltaBases: DeltaBaseChoice?
    var retention: RetentionRules?
    /// Since when back every moment is to be recoverable, for databases with a log.
    var recoveryWindow: CalendarSpan?

    enum Kind: Equatable {
        case files(ConfiguredFiles)
        /// The program and its arguments.
        case command([String])
        case postgres(ConfiguredPostgres)
    }
}

struct ConfiguredFiles: Equatable {
    var paths: [String]
    var excludes: [String] = []
    var excludeFiles: [String] = []
    var staysOnFileSystem = false
    var skipsTaggedCaches = false
}
