/// Counts copies by the rule of three, two and one: three copies of the data, on two storages, one of them elsewhere (P. Krogh, "The DAM Book", 2005).
///
/// The data itself is the first copy, and stands on a storage that no repository should share; only repositories that were found good are the others.
public struct CopyCount: Hashable, Sendable {
    /// A repository that holds the data.
    public struct Place: Hashable, Sendable {
        /// What fails together has the same: a disk, a server, a provider.
        public var storage: String
        /// Not where the data is.
        public var isOffSite: Bool

        public init(storage: String, isOffSite: Bool) { (self.storage, self.isOffSite) = (storage, isOffSite) }
    }

    /// With the data itself.
    public let copies: Int
    /// Different ones that repositories are on.
    public let storages: Int
    public let offSite: Int

    public init(_ places: [Place]) {
        copies = 1 + places.count
        storages = Set(places.map(\.storage)).count
        offSite = places.count { $0.isOffSite }
    }

    public var isKept: Bool { copies >= 3 && storages >= 2 && offSite >= 1 }

    /// What is missing, in words; empty where nothing is.
    public var lacks: [String] {
        var lacks: [String] = []
        if copies < 3 { lacks.append(copies == 2 ? "one more verified copy" : "two more verified copies") }
        if storages < 2, copies >= 3 { lacks.append("a copy on another storage") }
        if offSite < 1 { lacks.append("a copy elsewhere") }
        return lacks
    }
}
