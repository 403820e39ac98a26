import BlobEngine
import Foundation
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// A repository in memory and what its snapshots must hold, for tests of collections.
final class CollectionWorld {
    typealias Files = MemoryFiles

    let store: MemoryStore
    /// The store's clock.
    let now: Monitor<Int64>
    let keys: KeyRing
    private let folder: String
    private var caches = 0
    /// What each snapshot that was committed and not forgotten must give back.
    var expected: [ObjectID: Files] = [:]

    init() throws {
        let now = Monitor<Int64>(1_700_000_000)
        self.now = now
        let clock = StoreClock(now: { now.withLock { $0 } }, elapsed: { .zero }, sleep: { _ in })
        store = MemoryStore(clock: clock)
        keys = try RepositoryCreation.create(
            in: store, .machine,
            profiles: [
                .contentDefined(minimum: 4096, normal: 8192, maximum: 16384, strictBits: 14, looseBits: 12),
                .pageAligned(size: 64 << 10),
            ]
        ).keyRing
        var template = Array("/tmp/repo-collection-XXXXXX".utf8CString)
        folder = mkdtemp(&template).map { String(cString: $0) }!
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Another machine's view, with a cache of its own; over `store` or a decorator of it.
    func open(_ other: (any Store)? = nil) throws -> OpenRepository {
        try OpenRepository(store: other ?? store, keys: keys, cacheDirectory: makeCache())
    }

    func makeCache() throws -> String {
        defer { caches += 1 }
        return "\(folder)/\(caches)"
    }

    // MARK: Snapshots

    @discardableResult
    func snapshot(_ files: Files, on other: (any Store)? = nil, source: String = "files") throws -> ObjectID {
        let id = try SnapshotTaking(open(other), files, source: source).run()
        expected[id] = files
        return id
    }

    func forget(_ id: ObjectID) throws {
        try store.delete(SnapshotObject.key(id))
        expected[id] = nil
    }

    /// The registration of a process that is gone: this one's id, started at another time.
    func leaveDeadWriter() throws {
        let stamp = JournalStamp.now()
        var fields = RecordFields(time: stamp.time)
        (fields.host, fields.user) = (stamp.host, stamp.user)
        let own = ProcessIdentity.own
        (fields.bootID, fields.processID, fields.processStart) = (own.bootID, own.processID, own.start + 1)
        try store.put(
            WriterRegistration.key(RandomBytes.make(16)), SealedRecord.encode(.writer, fields, by: keys), .create)
    }

    // MARK: Collections

    static var eager: CollectionOptions {
        var options = CollectionOptions()
        options.maximumUnused = 0
        options.minimumAge = 0
        return options
    }

    @discardableResult
    func prune(_ options: CollectionOptions = eager, on other: (any Store)? = nil) throws -> CollectionOutcome
    {
        try Collector(open(other), options: options).run()
    }

    /// Prunes until nothing changes any more; a dead duplicate keeps its base for one more run.
    func pruneToTheEnd() throws {
        var options = Self.eager
        options.fenceAfter = 0
        for _ in 0..<6 where try prune(options).packsDeleted == 0 { return }
        Issue.record("six collections were not enough")
    }

    // MARK: What must hold

    /// Every snapshot that is to be there gives back what was put into it, byte for byte; and there is no other.
    /// - Parameter exactly: false while somebody may have stored a snapshot that the test does not know of yet.
    func verify(
        _ comment: String = "", exactly: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let repository = try open()
        let ids = Set(try SnapshotCatalog(repository).names().ids)
        #expect(ids.isSuperset(of: expected.keys), "\(comment)", sourceLocation: sourceLocation)
        if exactly { #expect(ids.count == expected.count, "\(comment)", sourceLocation: sourceLocation) }
        for (id, files) in expected {
            do {
                let found = try SnapshotReading(repository).files(id)
                #expect(found == files, "\(comment): \(id.short)", sourceLocation: sourceLocation)
            } catch {
                Issue.record("\(comment): \(id.short): \(error)", sourceLocation: sourceLocation)
            }
        }
    }

    /// Nothing is stored that no snapshot needs: no dead blob, no pack without an entry, no record, no writer.
    func verifyClean(_ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation) throws {
        var options = Self.eager
        options.isDryRun = true
        let rest = try prune(options)
        #expect(rest.condemned.isEmpty, "\(comment)", sourceLocation: sourceLocation)
        #expect(rest.blobsDead == 0, "\(comment)", sourceLocation: sourceLocation)
        for prefix in ["gc/", "writers/"] {
            let left = try store.list(prefix).map { "\($0.key)" }
            #expect(left.isEmpty, "\(comment)", sourceLocation: sourceLocation)
        }
        let indexed = try open().index().tables.flatMap { $0.packs.map { "\(PackObject.key($0.id))" } }
        let stored = try store.list("packs/").map { "\($0.key)" }
        #expect(Set(indexed) == Set(stored), "\(comment)", sourceLocation: sourceLocation)
    }

    var storedBytes: UInt64 { get throws { try store.list("packs/").reduce(0) { $0 + $1.size } } }
}
