import RepoBase
package import Storage

/// What a store holds, as its own machine sees it: it outlives every process.
///
/// Its state is touched only by the thread whose turn it is, which is what makes `@unchecked Sendable` true.
package final class SimulatedPlace: @unchecked Sendable {
    package struct Entry: Sendable {
        package let bytes: [UInt8]
        /// Seconds since 1970, by the store's clock.
        package let modified: Int64
    }

    package let location: String
    package private(set) var objects: [StoreKey: Entry]
    /// Ascending.
    package private(set) var keys: [StoreKey]
    /// Puts that were begun and never ended, with when they were: nothing that a listing tells.
    package private(set) var unfinished: [Int64] = []
    /// Listings under way, each with what was changed since it began.
    private var listings: [Int: Set<StoreKey>] = [:]
    private var listingsBegun = 0

    package init(location: String, objects: [StoreKey: Entry] = [:]) {
        self.location = location
        self.objects = objects
        keys = objects.keys.sorted()
    }

    /// Another place with the same objects.
    package func copy(location: String? = nil) -> SimulatedPlace {
        SimulatedPlace(location: location ?? self.location, objects: objects)
    }

    private func index(_ key: StoreKey) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func note(_ key: StoreKey) {
        for number in listings.keys { listings[number]?.insert(key) }
    }

    /// False where the key exists and was to be created.
    func put(_ key: StoreKey, _ bytes: [UInt8], _ mode: PutMode, at second: Int64) -> Bool {
        if objects[key] == nil {
            keys.insert(key, at: index(key))
        } else if mode == .create {
            return false
        }
        objects[key] = Entry(bytes: bytes, modified: second)
        note(key)
        return true
    }

    func delete(_ key: StoreKey) {
        guard objects.removeValue(forKey: key) != nil else { return }
        keys.remove(at: index(key))
        note(key)
    }

    func beginUnfinished(at second: Int64) { unfinished.append(second) }

    func removeUnfinished(before second: Int64) -> Int {
        let count = unfinished.count
        unfinished.removeAll { $0 < second }
        return count - unfinished.count
    }

    package func stored(_ key: StoreKey) -> StoredObject? {
        objects[key].map { StoredObject(key: key, size: UInt64($0.bytes.count), modified: $0.modified) }
    }

    /// Those that begin with `prefix`, ascending.
    package func keys(_ prefix: String) -> [StoreKey] {
        let utf8 = prefix.utf8
        return keys.filter { $0.description.utf8.starts(with: utf8) }
    }

    // MARK: Listings

    func beginListing() -> Int {
        listingsBegun += 1
        listings[listingsBegun] = []
        return listingsBegun
    }

    /// What was put, replaced or deleted since it began.
    func endListing(_ number: Int) -> Set<StoreKey> { listings.removeValue(forKey: number) ?? [] }
}
