import BlobEngine
import RepoBase

/// The packs that an index names, numbered across its segments, and lookups that answer with such numbers.
///
/// The same pack may be in several segments; it has one number. Memory: the packs, not the blobs.
struct PackNumbering: Sendable {
    let view: IndexView
    let packs: [PackRecord]
    let numbers: [ObjectID: UInt32]
    /// By table and the pack's place in it.
    let byTable: [[UInt32]]

    /// A row of a table.
    struct Row: Hashable {
        let table: Int
        let position: Int
    }

    /// A copy of a blob.
    struct Copy {
        let pack: UInt32
        let record: BlobRecord
    }

    init(_ view: IndexView) {
        self.view = view
        var packs: [PackRecord] = []
        var numbers: [ObjectID: UInt32] = [:]
        byTable = view.tables.map { table in
            table.packs.map { pack in
                if let number = numbers[pack.id] { return number }
                let number = UInt32(packs.count)
                numbers[pack.id] = number
                packs.append(pack)
                return number
            }
        }
        self.packs = packs
        self.numbers = numbers
    }

    func copy(_ row: Row) -> Copy? {
        let table = view.tables[row.table]
        guard let record = table.record(at: row.position), let pack = table.pack(at: row.position) else {
            return nil
        }
        return Copy(pack: byTable[row.table][pack], record: record)
    }

    /// The first row that names the blob: stands for it in bitmaps.
    func firstRow(_ id: BlobID) -> Row? {
        for (number, table) in view.tables.enumerated() {
            let positions = table.positions(of: id)
            if !positions.isEmpty { return Row(table: number, position: positions.lowerBound) }
        }
        return nil
    }

    func copies(_ id: BlobID) -> [Copy] {
        var copies: [Copy] = []
        for (number, table) in view.tables.enumerated() {
            for position in table.positions(of: id) {
                if let copy = copy(Row(table: number, position: position)) { copies.append(copy) }
            }
        }
        return copies
    }

    /// The copies of every blob whose id begins with these 8 bytes: what a delta may rest on.
    func baseCopies(_ prefix: UInt64) -> [Copy] { view.candidates(prefix: prefix).flatMap(copies) }
}

extension BlobBitmap {
    /// True when it was not in the set.
    mutating func insert(_ row: PackNumbering.Row) -> Bool {
        insert(table: row.table, position: row.position)
    }

    func contains(_ row: PackNumbering.Row) -> Bool { contains(table: row.table, position: row.position) }
}
