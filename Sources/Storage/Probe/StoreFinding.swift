/// One thing that is known of a store, for people who decide whether a repository may live there.
public struct StoreFinding: Hashable, Sendable {
    public enum Grade: String, Hashable, Sendable {
        /// Seen to hold.
        case proven
        /// Told by the store, and no obstacle.
        case noted
        /// Could not be found out.
        case unknown
        /// A repository can live there, at a price or a risk that the text names.
        case warning
        /// A repository would lose data there.
        case unsafe
    }

    /// What was looked at, as `create-only puts`.
    public let subject: String
    public let grade: Grade
    public let detail: String

    public init(_ subject: String, _ grade: Grade, _ detail: String) {
        self.subject = subject
        self.grade = grade
        self.detail = detail
    }
}

/// A store that tells how it is set up: versions, locks, rules that delete.
public protocol DescribedStore: Store {
    /// Throws only what ends a probe: a store that is gone. What these credentials may not see is `unknown`.
    func setUp() throws -> [StoreFinding]
}
