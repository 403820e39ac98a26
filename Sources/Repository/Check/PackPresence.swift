import BlobEngine
import RepoBase
import Storage

/// Compares the packs that the index names with those in the store, by one listing.
struct PackPresence {
    /// A pack that is there and its size in the store.
    struct Indexed {
        let number: UInt32
        let id: ObjectID
        let size: UInt64
        var isArchived = false
    }

    private(set) var objects: UInt64 = 0
    private(set) var missing: Set<UInt32> = []
    private(set) var wrongSize: [UInt32: String] = [:]
    private(set) var unindexed: [ObjectID] = []
    private var sizes: [UInt64?]
    private var archived: Set<UInt32> = []
    private let numbering: PackNumbering

    init(_ numbering: PackNumbering) {
        self.numbering = numbering
        sizes = [UInt64?](repeating: nil, count: numbering.packs.count)
    }

    mutating func run(_ repository: OpenRepository) throws {
        var strangers: Set<ObjectID> = []
        try repository.store.list(PackObject.prefix) { object in
            objects += 1
            guard let id = PackObject.id(object.key) else { return }
            guard let number = numbering.numbers[id] else {
                strangers.insert(id)
                return
            }
            note(object, number)
        }
        for number in sizes.indices where sizes[number] == nil { missing.insert(UInt32(number)) }
        // A name may have been altered on the way; what a second listing shows as well is so.
        if !missing.isEmpty || !wrongSize.isEmpty {
            wrongSize = [:]
            var confirmed: Set<ObjectID> = []
            try repository.store.list(PackObject.prefix) { object in
                guard let id = PackObject.id(object.key) else { return }
                if let number = numbering.numbers[id] {
                    note(object, number)
                    missing.remove(number)
                } else if strangers.contains(id) {
                    confirmed.insert(id)
                }
            }
            strangers = confirmed
        }
        unindexed = strangers.sorted()
    }

    private mutating func note(_ object: StoredObject, _ number: UInt32) {
        sizes[Int(number)] = object.size
        if object.availability != .ready { archived.insert(number) }
        let expected = numbering.packs[Int(number)].size
        guard object.size != expected else { return }
        wrongSize[number] = "it has \(object.size) bytes instead of the \(expected) that the index says"
    }

    /// The packs that are there, by number.
    func indexed(_ numbering: PackNumbering) -> [Indexed] {
        sizes.indices.compactMap { index in
            sizes[index].map { Indexed(number: UInt32(index), id: numbering.packs[index].id, size: $0, isArchived: archived.contains(UInt32(index))) }
        }
    }
}
