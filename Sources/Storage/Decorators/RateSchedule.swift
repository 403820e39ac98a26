/// How fast bytes may go to a store and come from it, by the hour of the day.
public struct RateSchedule: Hashable, Sendable {
    /// Bytes per second; nil: unlimited.
    public struct Rates: Hashable, Sendable {
        public var upload: Int?
        public var download: Int?

        public init(upload: Int? = nil, download: Int? = nil) { (self.upload, self.download) = (upload, download) }
    }

    /// A part of the day with rates of its own; one that ends before it begins goes over midnight.
    public struct Hours: Hashable, Sendable {
        /// Minutes since midnight, 0 to 1439 and 0 to 1440.
        public var from: Int
        public var to: Int
        public var rates: Rates

        public init(from: Int, to: Int, rates: Rates) { (self.from, self.to, self.rates) = (from, to, rates) }

        func contains(_ minute: Int) -> Bool { from < to ? (from..<to).contains(minute) : minute >= from || minute < to }
    }

    /// Outside all hours.
    public var otherwise: Rates
    /// The first that contains the time counts.
    public var hours: [Hours]

    public init(_ otherwise: Rates = Rates(), hours: [Hours] = []) { (self.otherwise, self.hours) = (otherwise, hours) }

    public var isUnlimited: Bool { self == RateSchedule() }

    /// - Parameter minute: since midnight.
    public func rates(at minute: Int) -> Rates { hours.first { $0.contains(minute) }?.rates ?? otherwise }
}
