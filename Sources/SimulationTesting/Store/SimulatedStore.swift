import RepoBase
package import Storage
import StorageTesting

/// A place as the processes of a simulation reach it: with the contract of `Store`, and no more than that.
package struct SimulatedStore: Store {
    private let simulation: Simulation
    private let place: SimulatedPlace

    package init(_ simulation: Simulation, _ place: SimulatedPlace) { (self.simulation, self.place) = (simulation, place) }

    package var location: String { place.location }

    private var second: Int64 { simulation.scheduler.wallTime.seconds }

    package func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        let (simulation, place, location) = (simulation, place, location)
        let bytes = [UInt8](bytes)
        let isNew = try perform(mode == .create ? .create : .put, key.description, isTorn: true) {
            let isNew = place.put(key, bytes, mode, at: simulation.scheduler.wallTime.seconds)
            simulation.hashOutcome(isNew ? 1 : 2)
            return isNew
        }
        guard isNew || mode == .replace else { throw StoreError.conflict(key, in: location) }
    }

    package func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let bytes = try perform(.read, key.description) { place.objects[key]?.bytes }
        guard let bytes else { throw StoreError.notFound(key, in: location) }
        guard offset < UInt64(bytes.count) else { return 0 }
        let start = Int(offset)
        let count = min(buffer.count, bytes.count - start)
        bytes.withUnsafeBytes { buffer.copyMemory(from: .init(rebasing: $0[start..<start + count])) }
        return count
    }

    package func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        let bytes = try perform(.get, key.description) { place.objects[key]?.bytes }
        guard let bytes else { throw StoreError.notFound(key, in: location) }
        guard bytes.count <= limit else { throw RepoError.damaged("\(key)", "it has \(bytes.count) bytes, more than \(limit)") }
        return bytes
    }

    package func stat(_ key: StoreKey) throws -> StoredObject? {
        try perform(.stat, key.description) { place.stored(key) }
    }

    package func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        for object in try listing(prefix) { try body(object) }
    }

    package func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws {
        for object in try listing(prefix) { try body(object.key) }
    }

    package func folders(in folder: String) throws -> [String] {
        let prefix = folder.isEmpty ? "" : folder + "/"
        var names: [String] = []
        for object in try listing(prefix) {
            let parts = object.key.description.dropFirst(prefix.count).split(separator: "/", maxSplits: 1)
            if parts.count == 2, !names.contains(String(parts[0])) { names.append(String(parts[0])) }
        }
        return names
    }

    package func makeDurable(_ key: StoreKey) throws { try perform(.makeDurable, key.description) {} }

    package func delete(_ key: StoreKey) throws {
        let place = place
        try perform(.delete, key.description) { place.delete(key) }
    }

    /// Each by itself, and in any order: a crash leaves some of them.
    package func delete(_ keys: [StoreKey]) throws {
        for key in keys.shuffled(using: &simulation.scheduler.choices) { try delete(key) }
    }

    package func removeAbandonedPuts(olderThan age: Duration) throws -> Int {
        try perform(.clean, "") { place.removeUnfinished(before: second - age.components.seconds) }
    }

    // MARK: Listings

    /// Takes time, in which others go on. What is there from its beginning to its end, unchanged, is told; of what is put, replaced or deleted
    /// meanwhile, any of its states, or nothing.
    private func listing(_ prefix: String) throws -> [StoredObject] {
        let (thread, fault) = try simulation.begin(SimulatedOperation(kind: .list, name: prefix, place: location))
        try before(fault, thread)
        let keys = place.keys(prefix)
        let objects = keys.map { place.stored($0)! }
        let number = place.beginListing()
        for _ in 0..<Int.random(in: 0...2, using: &simulation.scheduler.choices) {
            simulation.scheduler.spend(20_000_000)
            simulation.scheduler.yield(thread)
        }
        let changed = place.endListing(number)
        try simulation.alive(thread.owner)
        var found = objects.filter { !changed.contains($0.key) }
        for key in changed.sorted() where key.description.hasPrefix(prefix) {
            let states = [nil, objects.first { $0.key == key }, place.stored(key)]
            if let state = states.randomElement(using: &simulation.scheduler.choices)! { found.append(state) }
        }
        // In no order.
        if !found.isEmpty {
            let first = Int.random(in: 0..<found.count, using: &simulation.scheduler.choices)
            found = Array(found[first...] + found[..<first])
        }
        simulation.hashOutcome(found.count)
        try after(fault, thread)
        return found
    }

    // MARK: What goes wrong

    /// - Parameter isTorn: whether a death in its middle leaves something behind.
    private func perform<R>(
        _ kind: SimulatedOperation.Kind, _ name: String, isTorn: Bool = false, _ effect: @escaping () -> R
    ) throws -> R {
        let operation = SimulatedOperation(kind: kind, name: name, place: location)
        let (thread, fault) = try simulation.begin(operation)
        if isTorn, fault == .dieTorn { place.beginUnfinished(at: second) }
        if operation.isChange {
            switch fault {
            case .failLate(let seconds):
                thread.owner.wasSilent = true
                simulation.scheduler.schedule(after: Int64(seconds) * 1_000_000_000) { _ = effect() }
                throw lost(operation)
            case .dieLate(let seconds):
                simulation.kill(thread.owner)
                simulation.scheduler.schedule(after: Int64(seconds) * 1_000_000_000) { _ = effect() }
                throw ProcessDied()
            default: break
            }
        }
        try before(fault, thread)
        var result = effect()
        if operation.isChange {
            switch fault {
            case .repeated: result = effect()
            case .repeatedLate(let seconds):
                thread.owner.wasSilent = true
                simulation.scheduler.schedule(after: Int64(seconds) * 1_000_000_000) { _ = effect() }
            default: break
            }
        }
        try after(fault, thread, operation)
        return result
    }

    private func lost(_ operation: SimulatedOperation) -> RepoError {
        RepoError(.unreachable, "cannot \(operation): the connection was lost", advice: "Try again.")
    }

    private func before(_ fault: SimulatedFault?, _ thread: SimulatedThread) throws {
        switch fault {
        case .failBefore, .failLate: throw RepoError(.unreachable, "cannot reach \(location)", advice: "Try again.")
        case .dieBefore, .dieTorn, .dieLate:
            simulation.kill(thread.owner)
            throw ProcessDied()
        case .delayBefore(let seconds):
            thread.sleep(.seconds(seconds))
            try simulation.alive(thread.owner)
        case .freezeBefore(let seconds): try freeze(seconds, thread)
        default: break
        }
    }

    private func after(_ fault: SimulatedFault?, _ thread: SimulatedThread, _ operation: SimulatedOperation? = nil) throws {
        switch fault {
        case .failAfter: throw RepoError(.unreachable, "no answer from \(location)", advice: "Try again.")
        case .dieAfter:
            simulation.kill(thread.owner)
            throw ProcessDied()
        case .delayAfter(let seconds):
            thread.sleep(.seconds(seconds))
            try simulation.alive(thread.owner)
        case .freezeAfter(let seconds): try freeze(seconds, thread)
        default: break
        }
    }

    private func freeze(_ seconds: Int, _ thread: SimulatedThread) throws {
        thread.owner.wasSilent = true
        thread.owner.frozenUntil = simulation.scheduler.now + Int64(seconds) * 1_000_000_000
        simulation.scheduler.yield(thread)
        try simulation.alive(thread.owner)
    }
}
