/// How much room a store has left, and until when it lasts by what was stored of late.
public struct CapacityForecast: Hashable, Sendable {
    /// What a store grew by.
    public struct Growth: Hashable, Sendable {
        public let bytesPerDay: Double
        /// So many days it was looked at.
        public let days: Int
    }

    public let storedBytes: UInt64
    /// All that it may ever hold.
    public let capacityBytes: UInt64
    /// Nil for a store that is younger than `minimumDays`.
    public let growth: Growth?
    /// When it is full, in seconds since 1970; nil where it does not grow, where nobody can tell yet, and beyond a hundred years.
    public let fullAt: Int64?

    /// Growth is what was stored within so many days and is still there.
    public static let days = 30
    static let minimumDays = 3
    private static let secondsPerDay: Int64 = 86_400

    /// - Parameters:
    ///   - storedByDay: bytes of what is there, by the day since 1970 on which it came. What came on the first of all days is no growth: a repository begins
    ///     with full copies. What a prune wrote anew counts as new, and what it will free is not known: the day is rather too early than too late.
    ///   - now: seconds since 1970.
    public init(storedByDay: [Int64: UInt64], capacityBytes: UInt64, now: Int64) {
        let stored = storedByDay.values.reduce(0, +)
        storedBytes = stored
        self.capacityBytes = capacityBytes
        let today = now / Self.secondsPerDay
        guard let first = storedByDay.keys.min(), case let age = today - first, age >= Self.minimumDays else {
            (growth, fullAt) = (nil, stored >= capacityBytes ? now : nil)
            return
        }
        let days = min(age, Int64(Self.days))
        let added = storedByDay.filter { $0.key > max(first, today - days) }.values.reduce(0, +)
        let rate = Double(added) / Double(days)
        growth = Growth(bytesPerDay: rate, days: Int(days))
        let left = stored >= capacityBytes ? 0 : Double(capacityBytes - stored)
        let daysLeft = rate > 0 ? left / rate : left == 0 ? 0 : .infinity
        fullAt = daysLeft > 36_525 ? nil : now + Int64(daysLeft * Double(Self.secondsPerDay))
    }

    /// 0 to 1.
    public var usedShare: Double { capacityBytes == 0 ? 1 : min(1, Double(storedBytes) / Double(capacityBytes)) }
}
