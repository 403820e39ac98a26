import Foundation

/// A zone of the time zone database, by Foundation, which knows the past and the announced future of each.
public struct SystemZone: ZoneOffsets, Hashable {
    private let zone: TimeZone

    /// `identifier` is a name of the database, such as `Europe/Berlin`. Throws `TimeError.unknownZone`.
    ///
    /// Foundation would also take `GMT+2` for two hours east, where POSIX means two hours west; such names
    /// are refused here.
    public init(_ identifier: String) throws(TimeError) {
        let ambiguous =
            ["GMT", "UTC"].contains { identifier.uppercased().hasPrefix($0) }
            && identifier.contains { $0.isNumber || $0 == "+" || $0 == "-" }
        guard !ambiguous, let zone = TimeZone(identifier: identifier) else { throw .unknownZone(identifier) }
        self.zone = zone
    }

    private init(zone: TimeZone) {
        self.zone = zone
    }

    /// The machine's zone: `tz` (the value of the environment's `TZ`), or what the system is set to where
    /// that is nil. An empty `tz` is UTC and a leading colon is dropped, as POSIX has them.
    ///
    /// Throws `TimeError.unknownZone` for a `tz` that is not a name of the database, rules such as
    /// `CET-1CEST,M3.5.0,M10.5.0/3` among them: Foundation would take them for UTC without a word.
    public static func machine(tz: String?) throws(TimeError) -> SystemZone {
        guard let tz else { return SystemZone(zone: .current) }
        let name = tz.hasPrefix(":") ? String(tz.dropFirst()) : tz
        return try SystemZone(name.isEmpty ? "UTC" : name)
    }

    public var name: String { zone.identifier }

    public func secondsEastOfUTC(at seconds: Int64) -> Int {
        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))
    }
}
