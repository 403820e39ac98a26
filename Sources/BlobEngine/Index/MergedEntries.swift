public import RepoBase

/// An entry of one of several index tables: the table's place among them, and the position in it.
public struct IndexPlace: Hashable, Sendable, BitwiseCopyable {
    public let table: UInt32
    public let position: UInt32

    public init(_ table: Int, _ position: Int) {
        self.table = UInt32(table)
        self.position = UInt32(position)
    }
}

/// Goes through several sorted tables together, in the order of ids: a merge by a heap of cursors.
///
/// Takes O(log tables) for an entry. The memory that it touches in the mapped tables is given back as it goes, so
/// that a whole scan costs some MiB of resident memory whatever the size of the index.
public struct MergedEntries {
    private struct Cursor {
        var id: BlobID
        var table: Int
        var position: Int
    }

    private let tables: [IndexTable]
    private var heap: [Cursor] = []
    private var steps = 0
    /// Entries between two releases: 2^16 of 60 bytes, spread over the tables.
    private static let stepsPerRelease = 1 << 16

    public init(_ tables: [IndexTable]) {
        self.tables = tables
        for (number, table) in tables.enumerated() where table.count > 0 {
            heap.append(Cursor(id: table.id(at: 0), table: number, position: 0))
        }
        for place in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(place) }
    }

    /// The next id, with every entry that has it; nil at the end.
    public mutating func next(_ places: inout [IndexPlace]) -> BlobID? {
        places.removeAll(keepingCapacity: true)
        guard let id = heap.first?.id else { return nil }
        while let top = heap.first, top.id == id {
            places.append(IndexPlace(top.table, top.position))
            advance()
        }
        return id
    }

    private mutating func advance() {
        let table = tables[heap[0].table]
        heap[0].position += 1
        if heap[0].position < table.count {
            heap[0].id = table.id(at: heap[0].position)
        } else {
            heap[0] = heap[heap.count - 1]
            heap.removeLast()
        }
        if !heap.isEmpty { sink(0) }
        steps += 1
        if steps % Self.stepsPerRelease == 0 { for table in tables { table.releaseResident() } }
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in 2 * place + 1...2 * place + 2 where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == place { return }
            heap.swapAt(place, least)
            place = least
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        heap[left].id == heap[right].id
            ? heap[left].table < heap[right].table : heap[left].id < heap[right].id
    }
}
