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

    /// Insertions, deletions and replacements of one byte, and exchanges of two neighbours (optimal string alignment: Boytsov, "Indexing methods for
    /// approximate dictionary searching", ACM JEA 16, 2011). O(a × b).
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var before: [Int] = []
        var row = Array(0...b.count)
        for i in a.indices {
            var next = [i + 1]
            for j in b.indices {
                var least = min(row[j] + (a[i] == b[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
                next.append(least)
            }
            (before, row) = (row, next)
        }
        return row[b.count]
    }
}
