import NumbersTesting
import Policy

typealias SeededNumbers = NumbersTesting.SeededNumbers

/// Zones that differ in what makes calendars hard: changes of an hour and of half an hour, on both hemispheres,
/// offsets of half an hour, and a day left out (Samoa, 30 December 2011).
let zoneNames = [
    "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "UTC", "Australia/Lord_Howe",
]

/// The moment that RFC 3339 text with an offset names.
func moment(_ text: String) throws -> Timestamp {
    let epoch = try Timestamp(seconds: 0)
    return try ResolvedTime.parse(text, now: epoch, zone: FixedOffset.utc).timestamp
}

func snapshot(
    _ id: String, _ time: String, group: String = "db", tags: Set<String> = [], held: Bool = false
) throws -> RetentionCandidate {
    RetentionCandidate(id: id, group: group, time: try moment(time), tags: tags, isHeld: held)
}
