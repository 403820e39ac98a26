import RepoBase

/// One table while it is merged: its next entry of a pack that stays.
struct MergeCursor {
    let table: IndexTable
    /// For each of the table's packs its place in the new segment, or nil to leave its blobs out.
    private let places: [UInt32?]
    private var position = -1
    /// Of the entry at hand; nil at the end.
    private(set) var id: BlobID?

    init(table: IndexTable, places: [UInt32?]) {
        self.table = table
        self.places = places
    }

    private func place() throws(RepoError) -> UInt32? {
        guard let pack = table.pack(at: position) else { throw table.damage("an entry names no pack of it") }
        return places[pack]
    }

    mutating func advance() throws(RepoError) {
        let last = id
        position += 1
        while position < table.count, try place() == nil { position += 1 }
        guard position < table.count else {
            id = nil
            return
        }
        let next = table.id(at: position)
        if let last, next < last { throw table.damage("its ids are out of order") }
        id = next
    }

    func entry() throws(RepoError) -> (pack: UInt32, record: BlobRecord) {
        guard let record = table.record(at: position), let pack = try place() else {
            throw table.damage("an entry of it is not possible")
        }
        return (pack, record)
    }
}

/// A binary heap of cursors, the smallest id on top; equal ids in order of the cursors.
struct MergeHeap {
    private var entries: [(id: BlobID, source: Int)] = []

    var top: (id: BlobID, source: Int)? { entries.first }

    mutating func push(_ id: BlobID, _ source: Int) {
        entries.append((id, source))
        var child = entries.count - 1
        while child > 0, entries[child] < entries[(child - 1) / 2] {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// The top cursor has gone on to `id`, or is at its end.
    mutating func replaceTop(with id: BlobID?) {
        if let id {
            entries[0].id = id
        } else {
            entries.swapAt(0, entries.count - 1)
            entries.removeLast()
        }
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child] < entries[least] { least = child }
            }
            if least == parent { return }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}
