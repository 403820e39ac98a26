import BlobEngine
import RepoBase

/// For each blob, the deltas to be verified right after it, while its plaintext is in memory.
///
/// A delta with several bases waits for the one that comes last in the order of packs, since the others are then likely to be in memory still.
/// 16 bytes a delta. Whoever finds a delta here has to decode it; that it is named here is no proof of anything.
struct DependentDeltas: Sendable {
    /// Where a delta is in the index, under the place of its base.
    struct Entry: Comparable, Sendable {
        let basePack: UInt32
        let baseOrdinal: UInt32
        let table: UInt32
        let position: UInt32

        /// Stands for a base that no segment names.
        static let nowhere = UInt32.max

        static func < (a: Entry, b: Entry) -> Bool {
            if a.basePack != b.basePack { return a.basePack < b.basePack }
            if a.baseOrdinal != b.baseOrdinal { return a.baseOrdinal < b.baseOrdinal }
            return a.table != b.table ? a.table < b.table : a.position < b.position
        }
    }

    private(set) var entries: [Entry] = []
    /// Rows of the index, by table and the pack's place in it.
    private(set) var rowCounts: [[UInt32]]
    private static let releaseInterval = 1 << 18

    /// Scans the whole index; the deltas of the packs that `isSelected` are kept.
    init(_ numbering: PackNumbering, isSelected: [Bool]) {
        let view = numbering.view
        rowCounts = view.tables.map { [UInt32](repeating: 0, count: $0.packs.count) }
        for (number, table) in view.tables.enumerated() {
            for position in 0..<table.count {
                if position % Self.releaseInterval == Self.releaseInterval - 1 { view.releaseResident() }
                guard let place = table.pack(at: position) else { continue }
                rowCounts[number][place] += 1
                guard isSelected[Int(numbering.byTable[number][place])],
                    let record = table.record(at: position), record.encoding == .delta
                else { continue }
                let base = Self.lastBase(of: record, numbering)
                entries.append(
                    Entry(
                        basePack: base?.pack ?? Entry.nowhere, baseOrdinal: base?.ordinal ?? Entry.nowhere,
                        table: UInt32(number), position: UInt32(position)))
            }
        }
        entries.sort()
        view.releaseResident()
    }

    /// The indices of the deltas that wait for that blob.
    func waiting(for pack: UInt32, _ ordinal: UInt32) -> Range<Int> {
        let first = lowerBound(pack, ordinal)
        var end = first
        while end < entries.count, entries[end].basePack == pack, entries[end].baseOrdinal == ordinal {
            end += 1
        }
        return first..<end
    }

    private func lowerBound(_ pack: UInt32, _ ordinal: UInt32) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            let entry = entries[middle]
            if (entry.basePack, entry.baseOrdinal) < (pack, ordinal) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The base that is decoded last when packs are read in their order; nil when one is missing.
    private static func lastBase(
        of record: BlobRecord, _ numbering: PackNumbering
    ) -> (pack: UInt32, ordinal: UInt32)? {
        var last: (anchor: (UInt32, UInt32), pack: UInt32, ordinal: UInt32)?
        for position in 0..<record.bases.count {
            guard let copy = numbering.baseCopies(record.bases[position]).first else { return nil }
            guard record.bases.count > 1 else { return (copy.pack, copy.record.ordinal) }
            let anchor = anchor(copy, numbering, depth: 1)
            if last.map({ $0.anchor <= anchor }) ?? true { last = (anchor, copy.pack, copy.record.ordinal) }
        }
        return last.map { ($0.pack, $0.ordinal) }
    }

    /// The place of the last blob at the bottom of a chain.
    private static func anchor(
        _ copy: PackNumbering.Copy, _ numbering: PackNumbering, depth: Int
    ) -> (UInt32, UInt32) {
        guard copy.record.encoding == .delta, depth < BlobReader.maximumChain else {
            return (copy.pack, copy.record.ordinal)
        }
        var last: (UInt32, UInt32) = (0, 0)
        for position in 0..<copy.record.bases.count {
            guard let base = numbering.baseCopies(copy.record.bases[position]).first else { continue }
            last = max(last, anchor(base, numbering, depth: depth + 1), by: { $0 < $1 })
        }
        return last
    }
}

private func max<T>(_ a: T, _ b: T, by isBefore: (T, T) -> Bool) -> T { isBefore(a, b) ? b : a }
