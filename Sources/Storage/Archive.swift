/// Whether an object can be read now.
public enum Availability: Hashable, Sendable {
    case ready
    /// In an archival tier.
    case archived
    /// Asked for, and not there yet.
    case thawing
}

/// How archived objects are brought back.
public struct ThawRequest: Hashable, Sendable {
    /// How soon, and at what price.
    public enum Tier: String, Hashable, Sendable, CaseIterable {
        /// Minutes; not from the deepest tiers.
        case expedited
        /// Hours: up to 12.
        case standard
        /// Up to 48 hours, the cheapest.
        case bulk

        /// The longest that Amazon names for any of its classes, in seconds ("Understanding archive retrieval options", Amazon S3 user guide).
        public var longestSeconds: Int64 {
            switch self {
            case .expedited: 5 * 60
            case .standard: 12 * 3600
            case .bulk: 48 * 3600
            }
        }
    }

    /// How long the copy that can be read stays.
    public var days: Int
    public var tier: Tier

    public init(days: Int, tier: Tier) { (self.days, self.tier) = (days, tier) }
}
