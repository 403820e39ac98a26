/// A set of index entries, one bit each: which blobs are reachable, for collection and checks.
///
/// An entry is a table of one `IndexView` and a position in it, so the bitmap goes with that view. 10 million
/// blobs take 1.25 MB.
public struct BlobBitmap: Sendable {
    private var words: [[UInt64]]
    private let counts: [Int]

    /// Nothing is marked at first.
    public init(_ view: IndexView) { self.init(counts: view.tables.map(\.count)) }

    /// - Parameter counts: entries of each table.
    public init(counts: [Int]) {
        self.counts = counts
        words = counts.map { [UInt64](repeating: 0, count: ($0 + 63) / 64) }
    }

    /// True when the entry was not marked before. Traps for an entry that the tables do not have.
    @discardableResult
    public mutating func insert(table: Int, position: Int) -> Bool {
        precondition(position >= 0 && position < counts[table])
        let bit = UInt64(1) << UInt64(position & 63)
        let isNew = words[table][position >> 6] & bit == 0
        words[table][position >> 6] |= bit
        return isNew
    }

    /// Traps for an entry that the tables do not have.
    public func contains(table: Int, position: Int) -> Bool {
        precondition(position >= 0 && position < counts[table])
        return words[table][position >> 6] >> UInt64(position & 63) & 1 == 1
    }

    /// Marks what `other` has marked: for threads that marked apart. Traps when it goes with other tables.
    public mutating func formUnion(_ other: BlobBitmap) {
        precondition(counts == other.counts)
        for table in words.indices {
            for index in words[table].indices { words[table][index] |= other.words[table][index] }
        }
    }

    /// Marked entries, in all tables. O(entries / 64).
    public var count: Int {
        words.reduce(0) { sum, table in table.reduce(sum) { $0 + $1.nonzeroBitCount } }
    }

    /// Calls `body` for the marked entries of a table, in the order of ids.
    public func forEach(inTable table: Int, _ body: (_ position: Int) throws -> Void) rethrows {
        for (index, word) in words[table].enumerated() {
            var rest = word
            while rest != 0 {
                try body(index * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }
}
