/// One bit for each entry of several index tables: what a walk has reached, what a collection keeps.
///
/// A blob that is in several segments or packs has an entry for each. Takes count / 8 bytes; marking and asking are O(1).
public struct BlobMarks: Sendable {
    private var bits: [[UInt64]]
    /// Entries that are marked.
    public private(set) var count = 0

    /// Nothing marked. Entries are named by a table's place in `tables` and a position in that table.
    public init(_ tables: [IndexTable]) {
        bits = tables.map { [UInt64](repeating: 0, count: ($0.count + 63) / 64) }
    }

    /// Marks one entry; true when it was not marked before. Traps outside the table.
    @discardableResult
    public mutating func mark(_ table: Int, _ position: Int) -> Bool {
        let bit: UInt64 = 1 << UInt64(position & 63)
        guard bits[table][position >> 6] & bit == 0 else { return false }
        bits[table][position >> 6] |= bit
        count += 1
        return true
    }

    /// Traps outside the table.
    public func isMarked(_ table: Int, _ position: Int) -> Bool {
        bits[table][position >> 6] & (1 << UInt64(position & 63)) != 0
    }
}
