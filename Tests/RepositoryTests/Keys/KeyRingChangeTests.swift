import BlobEngine
import RepoBase
import Repository
import Storage
import Testing

@Suite struct KeyRingChangeTests {
    let store: any Store
    var keyRing: KeyRing

    init() throws { (store, keyRing) = try KeyFixtures.create() }

    @Test mutating func `added keys are listed, and open with their roles`() throws {
        let full = try keyRing.addMachineKey(to: store, label: "host a")
        let writer = try keyRing.addMachineKey(to: store, role: .writer, label: "host b")
        let opened = try KeyRing.open(store, writer.credentials)
        #expect(opened.role == .writer)
        #expect(opened.currentEpoch.agreement == nil)
        #expect(opened.currentEpoch.indexKey.bytes == keyRing.currentEpoch.indexKey.bytes)
        #expect(opened.currentEpoch.publicKey == keyRing.currentEpoch.publicKey)
        #expect(opened.idSecret.bytes == keyRing.idSecret.bytes)
        #expect(try KeyRing.open(store, full.credentials).currentEpoch.agreement != nil)
        #expect(opened.listKeys().map(\.label) == ["first", "host a", "host b"])
        #expect(opened.listKeys().map(\.role) == [.full, .full, .writer])
        #expect(opened.listKeys().map(\.kind) == [.password, .machine, .machine])
        #expect(opened.role(of: full.id) == .full)
        #expect(opened.config.generation == 3)
    }

    @Test mutating func `a label is cut to 255 bytes in whole characters`() throws {
        _ = try keyRing.addMachineKey(to: store, label: String(repeating: "é", count: 200))
        #expect(keyRing.listKeys()[1].label == String(repeating: "é", count: 127))
    }

    @Test mutating func `a removed key opens nothing, and the message says why`() throws {
        let added = try keyRing.addMachineKey(to: store)
        let object = try store.bytes(StoreKey("keys/\(added.id)"))
        try keyRing.removeKey(added.id, from: store)
        #expect(keyRing.listKeys()[1].state == .removed)
        #expect(keyRing.verifyingKey(added.id) != nil)
        for _ in 0..<2 {
            let error = #expect(throws: RepoError.self) { _ = try KeyRing.open(store, added.credentials) }
            #expect(error?.code == .wrongKey)
            #expect(error?.message.contains("removed") == true)
            // Putting the object back does not help.
            try store.put(StoreKey("keys/\(added.id)"), object, .replace)
        }
        #expect(code { try keyRing.removeKey(added.id, from: store) } == .notFound)
    }

    @Test mutating func `a removed password says so too`() throws {
        let second = try keyRing.addKey(
            to: store, .password([7]), role: .full, label: "", scrypt: KeyFixtures.scrypt)
        let object = try store.bytes(StoreKey("keys/\(second.id)"))
        try keyRing.removeKey(second.id, from: store)
        #expect(code { _ = try KeyRing.open(store, .password([7])) } == .wrongKey)
        try store.put(StoreKey("keys/\(second.id)"), object, .replace)
        let error = #expect(throws: RepoError.self) { _ = try KeyRing.open(store, .password([7])) }
        #expect(error?.message.contains("removed") == true)
    }

    @Test mutating func `the last full key and the own key stay`() throws {
        _ = try keyRing.addMachineKey(to: store, role: .writer)
        let own = keyRing.keyID
        #expect(code { try keyRing.removeKey(own, from: store) } == .refused)
        #expect(code { try keyRing.removeKey(own, from: store, evenOwn: true) } == .refused)
        let other = try keyRing.addMachineKey(to: store)
        #expect(code { try keyRing.removeKey(own, from: store) } == .refused)
        try keyRing.removeKey(own, from: store, evenOwn: true)
        #expect(code { _ = try KeyRing.open(store, .password(KeyFixtures.password)) } == .wrongKey)
        #expect(code { try keyRing.rotate(in: store) } == .wrongKey)
        #expect(code { try keyRing.refresh(from: store) } == .wrongKey)
        var left = try KeyRing.open(store, other.credentials)
        #expect(code { try left.removeKey(other.id, from: store, evenOwn: true) } == .refused)
    }

    @Test mutating func `a writer changes no keys`() throws {
        let added = try keyRing.addMachineKey(to: store, role: .writer)
        var writer = try KeyRing.open(store, added.credentials)
        let generation = try store.list("configs/").count
        #expect(code { _ = try writer.addKey(to: store, .machine, role: .full, label: "") } == .refused)
        #expect(code { _ = try writer.exportKey(to: store) } == .refused)
        #expect(code { try writer.removeKey(keyRing.keyID, from: store) } == .refused)
        #expect(code { try writer.rotate(in: store) } == .refused)
        #expect(try store.list("configs/").count == generation)
    }

    @Test mutating func `a changed password opens and the old one does not`() throws {
        try keyRing.changePassword(to: [5, 5], in: store, scrypt: KeyFixtures.scrypt)
        #expect(try KeyRing.open(store, .password([5, 5])).keyID == keyRing.keyID)
        #expect(code { _ = try KeyRing.open(store, .password(KeyFixtures.password)) } == .wrongKey)
        var machine = try KeyRing.open(store, try keyRing.addMachineKey(to: store).credentials)
        #expect(code { try machine.changePassword(to: [1], in: store) } == .refused)
    }

    @Test mutating func `an exported key opens everything after all others are gone`() throws {
        let exported = try keyRing.exportKey(to: store, stamp: KeyFixtures.stamp)
        try keyRing.rotate(in: store)
        for object in try store.list("keys/") where object.key != StoreKey("keys/\(exported.id)") {
            try store.delete(object.key)
        }
        let opened = try KeyRing.open(store, .machineKey(Array(try #require(exported.keyFile).utf8)))
        #expect(opened.role == .full)
        #expect(opened.epochs.keys.sorted() == [1, 2])
    }

    @Test mutating func `rotation gives every active key the new epoch, and no removed one`() throws {
        let writer = try keyRing.addMachineKey(to: store, role: .writer)
        let removed = try keyRing.addMachineKey(to: store)
        let leaving = try KeyRing.open(store, removed.credentials)
        try keyRing.removeKey(removed.id, from: store)
        #expect(try keyRing.rotate(in: store) == 2)
        #expect(keyRing.currentEpoch.epoch == 2)
        #expect(keyRing.epochKeys(1)?.publicKey != keyRing.epochKeys(2)?.publicKey)
        #expect(keyRing.epochKeys(1)?.indexKey.bytes != keyRing.epochKeys(2)?.indexKey.bytes)
        let opened = try KeyRing.open(store, writer.credentials)
        #expect(opened.epochs.keys.sorted() == [1, 2])
        #expect(opened.epochs.values.allSatisfy { $0.agreement == nil })
        #expect(opened.epochKeys(2)?.indexKey.bytes == keyRing.epochKeys(2)?.indexKey.bytes)
        #expect(leaving.epochKeys(2) == nil)
        #expect(keyRing.config.epochs.allSatisfy { $0.grant(for: removed.id) == nil })
        // A key that comes later gets both.
        let late = try KeyRing.open(store, try keyRing.addMachineKey(to: store).credentials)
        #expect(late.epochs.keys.sorted() == [1, 2])
    }

    @Test func `keys added from many threads at once are all there`() throws {
        let added = Monitor<[(KeyID, Credentials)]>([])
        let failures = Monitor<[String]>([])
        let threads = (0..<8).map { index in
            WorkerThread { [store, keyRing] in
                var mine = keyRing
                do {
                    for round in 0..<3 {
                        let key = try mine.addMachineKey(to: store, label: "\(index) \(round)")
                        added.withLock { $0.append(key) }
                    }
                    if index % 4 == 0 { try mine.rotate(in: store) }
                } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == [])
        let keys = added.withLock { $0 }
        #expect(keys.count == 24)
        let opened = try KeyRing.open(store, .password(KeyFixtures.password))
        #expect(Set(opened.listKeys().map(\.id)) == Set(keys.map(\.0) + [keyRing.keyID]))
        #expect(opened.config.generation == 27)
        #expect(try store.bytes(StoreKey("config")) == store.bytes(StoreKey("configs/00000027")))
        for (id, credentials) in keys {
            let key = try KeyRing.open(store, credentials)
            #expect(key.keyID == id)
            #expect(key.epochs.keys.sorted() == [1, 2, 3])
        }
    }

    @Test mutating func `a change that crashed before it replaced config is finished by who comes next`()
        throws
    {
        let before = try store.bytes(StoreKey("config"))
        let stale = keyRing
        let added = try keyRing.addMachineKey(to: store, label: "interrupted")
        let after = try store.bytes(StoreKey("config"))

        // The new key itself finds its generation.
        try store.put(StoreKey("config"), before, .replace)
        #expect(try KeyRing.open(store, added.credentials).keyID == added.id)
        #expect(try store.bytes(StoreKey("config")) == before)

        // A reader with a password finishes the change.
        #expect(try KeyRing.open(store, .password(KeyFixtures.password)).config.generation == 2)
        #expect(try store.bytes(StoreKey("config")) == after)

        // So does the next writer, and keeps what it finds.
        try store.put(StoreKey("config"), before, .replace)
        var writer = stale
        try writer.rotate(in: store)
        #expect(writer.config.generation == 3)
        #expect(writer.listKeys().map(\.label) == ["first", "interrupted"])
        #expect(try store.bytes(StoreKey("config")) == store.bytes(StoreKey("configs/00000003")))

        // And a key ring that was open all the time takes it up when asked.
        var reader = stale
        try reader.refresh(from: store)
        #expect(reader.config == writer.config)
    }

    @Test mutating func `a generation that follows from another history is refused`() throws {
        let first = try store.bytes(StoreKey("config"))
        try keyRing.rotate(in: store)
        let second = try store.bytes(StoreKey("configs/00000002"))
        try keyRing.rotate(in: store)
        // The third generation names the second, so it cannot stand in the second's place, nor an old one in
        // its.
        let third = try store.bytes(StoreKey("configs/00000003"))
        try store.put(StoreKey("config"), first, .replace)
        for forged in [third, first, second.dropLast(), second + [0]] {
            try store.put(StoreKey("configs/00000002"), forged, .replace)
            var (_, reader) = (0, try KeyRing.open(store, .password(KeyFixtures.password)))
            #expect(reader.config.generation == 1)
            #expect(code { try reader.refresh(from: store) } == .damaged)
            #expect(code { try reader.rotate(in: store) } == .damaged)
        }
    }

    @Test mutating func `a generation of a fork of the store does not continue this one`() throws {
        // Both second generations are signed by the authority; a store cannot show one after the other.
        let fork = MemoryStore()
        for object in try store.list("") { try fork.put(object.key, store.bytes(object.key), .create) }
        var forked = keyRing
        try keyRing.rotate(in: store)
        try forked.rotate(in: fork)
        try forked.rotate(in: fork)
        let third = StoreKey("configs/00000003")
        try store.put(third, fork.bytes(third), .create)
        #expect(code { try keyRing.refresh(from: store) } == .damaged)
        #expect(code { try keyRing.rotate(in: store) } == .damaged)
    }

    @Test mutating func `a slow writer does not put an old generation in a later one's place`() throws {
        // Between winning the second generation and replacing config, others make the third.
        let slow = InterposedStore(store)
        var other = keyRing
        slow.beforeNextPut(of: StoreKey("config")) { [store] in try other.rotate(in: store) }
        try keyRing.rotate(in: slow)
        #expect(try store.bytes(StoreKey("config")) == store.bytes(StoreKey("configs/00000003")))
        #expect(keyRing.config.generation == 3)
        #expect(keyRing.currentEpoch.epoch == 3)
    }

    @Test mutating func `each change leaves an entry in the journal`() throws {
        let added = try keyRing.addMachineKey(to: store, label: "host a")
        try keyRing.rotate(in: store, stamp: KeyFixtures.stamp)
        try keyRing.changePassword(
            to: [1], in: store, scrypt: KeyFixtures.scrypt, stamp: KeyFixtures.stamp)
        try keyRing.removeKey(added.id, from: store, stamp: KeyFixtures.stamp)
        _ = try keyRing.exportKey(to: store, stamp: KeyFixtures.stamp)
        var entries: [String: RecordFields] = [:]
        for object in try store.list(Journal.prefix) {
            let bytes = try store.bytes(object.key)
            #expect(object.key == StoreKey("journal/\(ObjectHasher.hash(bytes))"))
            let record = try SealedRecord.decode(
                .journal, bytes, object: "\(object.key)", keyRing: keyRing)
            #expect(record.signer == keyRing.keyID)
            #expect(record.fields.time == KeyFixtures.stamp.time)
            #expect(record.fields.host == "db1")
            #expect(record.fields.user == "backup")
            entries[record.fields.action ?? ""] = record.fields
        }
        #expect(
            entries.keys.sorted()
                == ["init", "key add", "key export", "key passwd", "key remove", "key rotate"])
        #expect(entries["key add"]?.subjectTexts == ["\(added.id)"])
        #expect(entries["key add"]?.details == ["full machine key", "host a"])
        #expect(entries["key rotate"]?.subjectTexts == ["2"])
    }
}

/// Lets something happen just before a put.
private final class InterposedStore: Store {
    private typealias Step = () throws -> Void

    private let base: any Store
    private let pending = Monitor<[StoreKey: Step]>([:])

    init(_ base: any Store) { self.base = base }

    func beforeNextPut(of key: StoreKey, _ step: sending @escaping () throws -> Void) {
        pending.withLock { $0[key] = step }
    }

    var location: String { base.location }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try pending.withLock { try $0.removeValue(forKey: key)?() }
        try base.put(key, bytes, mode)
    }

    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }

    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }

    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }

    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
