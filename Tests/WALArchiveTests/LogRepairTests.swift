import BlobEngine
import PostgresFormats
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository
@testable import WALArchive

/// A damaged object of the log blocked its name for ever: what the server pushes again met it and was refused.
@Suite("Repairing the log")
struct LogRepairTests {
    enum Injury: CaseIterable {
        case flippedContent, flippedDescription, flippedEnvelope, truncated, cutToFrame, emptied, grown, swapped, zeroed, anothers

        func apply(_ bytes: [UInt8], other: [UInt8]) -> [UInt8] {
            var bytes = bytes
            switch self {
            case .flippedContent: bytes[bytes.count - 3] ^= 1
            case .flippedDescription: bytes[230] ^= 0x20
            case .flippedEnvelope: bytes[40] ^= 4
            case .truncated: bytes.removeLast()
            case .cutToFrame: bytes = Array(bytes.prefix(100))
            case .emptied: bytes = []
            case .grown: bytes.append(0)
            case .swapped: bytes = other
            case .zeroed: bytes = [UInt8](repeating: 0, count: bytes.count)
            case .anothers: bytes[120] ^= 1
            }
            return bytes
        }

        /// It may have been signed by a key that is not listed: only told to does the repair move it.
        var isDoubtful: Bool { self == .anothers }
    }

    private let size = WALSegmentSize(bytes: 1 << 20)!
    private let system = ArchiveFixture.system

    private func key(_ number: UInt64) -> StoreKey {
        WALObjectName.file(.segment(name: ArchiveFixture.segment(number, size: size))).key(systemIdentifier: system)
    }

    private func push(_ number: UInt64, _ fixture: ArchiveFixture) throws -> WALArchive.Stored {
        try fixture.archive().store(
            [ArchiveFixture.file(ArchiveFixture.segment(number, size: size), seed: number, count: 100)], system: system, segmentSize: size)
    }

    private func journal(_ fixture: ArchiveFixture) throws -> Int { try fixture.store.list(Journal.prefix).count }

    @Test("whatever is wrong with an object, it is moved aside as it was found, and its file can be pushed again", arguments: Injury.allCases)
    func moved(injury: Injury) throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...4, isLog: true)
        let backup = try fixture.backup(from: 2 << 20, to: (2 << 20) + 9, at: 250)
        let bytes = injury.apply(try fixture.store.get(key(2), atMost: 1 << 20), other: try fixture.store.get(key(3), atMost: 1 << 20))
        try fixture.store.put(key(2), bytes, .replace)
        #expect(try LogCheck(fixture.archive(), data: .all).run().errors.map(\.object) == ["\(key(2))"])
        let entries = try journal(fixture)
        let repair = try LogRepair(fixture.archive())
        if injury.isDoubtful {
            let left = try repair.run()
            #expect(left.count == 1 && left[0].movedTo == nil && left[0].leftBecause?.contains("does not list") == true)
            #expect(try fixture.store.get(key(2), atMost: 1 << 20) == bytes && journal(fixture) == entries)
        }
        let done = try repair.run(injury.isDoubtful ? [ArchiveFixture.segment(2, size: size)] : nil)
        let outcome = try #require(done.first)
        #expect(done.count == 1 && outcome.key == key(2) && outcome.leftBecause == nil && outcome.backups == [backup.id])
        let target = try #require(outcome.movedTo)
        #expect("\(target)".hasPrefix("damaged/\(key(2))."))
        #expect(try fixture.store.get(target, atMost: 1 << 20) == bytes)
        #expect(try fixture.store.stat(key(2)) == nil)
        #expect(try journal(fixture) == entries + 1)
        // What is missing now is told, and whoever has the file fills the place.
        #expect(try LogCheck(fixture.archive()).run().errors.map(\.problem) == ["it is missing, and a base backup needs it"])
        guard case .new = try push(2, fixture) else { throw RepoError(.failed, "it was not stored") }
        #expect(try LogCheck(fixture.archive(), data: .all).run().errors.isEmpty)
        #expect(try repair.run().isEmpty)
    }

    @Test("what is sound is left, named or not, and a name that is not there is refused")
    func sound() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...3, isLog: true)
        try fixture.archiveSegments(16...20, batched: true, isLog: true)
        try fixture.archiveHistory(2, "1\t0/1400008\tx\n")
        let repair = try LogRepair(fixture.archive())
        #expect(try repair.run().isEmpty)
        let named = try repair.run(["00000002.history", ArchiveFixture.segment(18, size: size), "\(key(1))"])
        #expect(named.count == 3 && named.allSatisfy { $0.problem == nil && $0.movedTo == nil })
        let error = #expect(throws: RepoError.self) { try repair.run([ArchiveFixture.segment(9, size: size)]) }
        #expect(error?.code == .notFound)
        let refused = #expect(throws: RepoError.self) { try LogRepair(fixture.archive(keys: fixture.writerKeys())).run() }
        #expect(refused?.code == .refused)
    }

    @Test("the same segment in another object is named")
    func elsewhere() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(16...20, batched: true, isLog: true)
        let batch = try #require(try fixture.store.list("wal/").first?.key)
        let alone = ArchiveFixture.file(ArchiveFixture.segment(18, size: size), seed: 18, count: 100)
        let name = WALObjectName.file(.segment(name: alone.name))
        let writer = WALObjectWriter(keys: fixture.keys, hasher: try fixture.archive().hasher)
        let sealed = try writer.seal(
            WALFileSource([alone]), key: name.key(systemIdentifier: system), segmentSize: size, stored: FileTime(seconds: 1, nanoseconds: 0), host: "h")
        try fixture.store.put(key(18), sealed.bytes.array, .create)
        try fixture.store.put(batch, Array(try fixture.store.get(batch, atMost: 1 << 20).dropLast()), .replace)
        let outcome = try #require(try LogRepair(fixture.archive()).run().first)
        #expect(outcome.key == batch && outcome.files.count == 5 && outcome.others == [key(18)] && outcome.movedTo != nil)
    }

    @Test("a store that fails, or that delivers wrong bytes once, makes nothing damaged")
    func transient() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...3, isLog: true)
        let failing = FaultingStore(fixture.store) { $0.kind == .read && $0.name == "\(key(2))" ? .failBefore(RepoError(.unreachable, "gone")) : nil }
        let error = #expect(throws: RepoError.self) { try LogRepair(fixture.archive(failing)).run() }
        #expect(error?.code == .unreachable)
        let wrong = WrongOnce(fixture.store, key(2))
        let outcome = try #require(try LogRepair(fixture.archive(wrong)).run().first)
        #expect(outcome.movedTo == nil && outcome.leftBecause?.contains("read again it is sound") == true)
        #expect(try fixture.store.list("damaged/").isEmpty && fixture.store.stat(key(2)) != nil)
    }

    @Test("of two repairs at once one deletes; one that died in between is followed after a while")
    func twoAtOnce() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...3, isLog: true)
        try fixture.store.put(key(2), [1, 2, 3], .replace)
        // The first dies with its copy made, before it deletes.
        let dying = FaultingStore(fixture.store) { $0.kind == .delete ? .dieBefore : nil }
        #expect(throws: (any Error).self) { try LogRepair(fixture.archive(dying)).run() }
        #expect(try fixture.store.stat(key(2)) != nil && fixture.store.list("damaged/").count == 1)
        let left = try #require(try LogRepair(fixture.archive()).run().first)
        #expect(left.movedTo == nil && left.leftBecause?.contains("another repair") == true)
        let later = StoreClock(now: { StoreClock.system.now() + LogRepair.patience + 5 }, elapsed: StoreClock.system.elapsed, sleep: { _ in })
        let done = try #require(try LogRepair(fixture.archive(), clock: later).run().first)
        #expect(done.movedTo != nil)
        #expect(try fixture.store.stat(key(2)) == nil && fixture.store.list("damaged/").count == 1)
    }

    @Test("what takes the object's place while it is repaired stays")
    func replaced() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...3, isLog: true)
        let good = try fixture.store.get(key(2), atMost: 1 << 20)
        try fixture.store.put(key(2), [1, 2, 3], .replace)
        // Another copy of the repository is copied over it just before the deletion.
        let store = fixture.store
        let racing = FaultingStore(store) { operation in
            if operation.kind == .put, operation.name.hasPrefix(Journal.prefix) { try? store.put(self.key(2), good, .replace) }
            return nil
        }
        let outcome = try #require(try LogRepair(fixture.archive(racing)).run().first)
        #expect(outcome.movedTo == nil && outcome.leftBecause == "it has changed meanwhile")
        #expect(try fixture.store.get(key(2), atMost: 1 << 20) == good)
    }

    @Test("a push that meets a damaged object is told what helps")
    func advice() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...3, isLog: true)
        try fixture.store.put(key(2), [1, 2, 3], .replace)
        let error = #expect(throws: RepoError.self) { try push(2, fixture) }
        #expect(error?.code == .damaged && error?.advice.contains("repo repair wal \(ArchiveFixture.segment(2, size: size))") == true)
    }
}

/// Delivers one object's bytes changed until it was read to its end once.
private final class WrongOnce: Store {
    private let base: any Store
    private let key: StoreKey
    private let reads = Monitor(0)

    init(_ base: any Store, _ key: StoreKey) { (self.base, self.key) = (base, key) }

    var location: String { base.location }
    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }
    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try base.read(key, at: offset, into: buffer)
        if key == self.key, reads.withLock({ reads in reads += 1; return reads == 1 }), count > 230 { buffer[230] ^= 1 }
        return count
    }
    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }
    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
