/// Finds what somebody meant who mistyped a name.
enum NearestName {
    /// The name with the fewest changes to `text`, if they are few enough to be a slip.
    static func find(_ text: String, in names: some Sequence<String>) -> String? {
        let best = names.map { (name: $0, distance: distance(Array(text.utf8), Array($0.utf8))) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
        guard let best, best.distance <= max(1, max(text.utf8.count, best.name.utf8.count) / 3) else {
            return nil
        }
        return best.name
    }

    /// Levenshtein's: insertions, deletions and replacements of one byte. O(a × b).
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let replaced = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
            }
        }
        return row[b.count]
    }
}
