import BlobEngine
import Foundation
import RepoBase
import RepositoryTesting
import Storage

@testable import Repository

/// A machine with a memory of what it saw: each of its processes opens the repository anew. Its threads share only what is thread-safe in `world`.
final class RememberingMachine: @unchecked Sendable {
    let world: CollectionWorld
    let folder: String
    let keys: Monitor<KeyRing>
    let clock = Monitor<Int64>(1_800_000_000)
    let reports = Monitor<[[FreshnessFinding]]>([])
    let problems = Monitor<[RepoError]>([])

    init(_ world: CollectionWorld, keys: KeyRing? = nil) {
        self.world = world
        self.keys = Monitor(keys ?? world.keys)
        var template = Array("/tmp/repo-seen-XXXXXX".utf8CString)
        folder = mkdtemp(&template).map { String(cString: $0) }!
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var file: SeenFile { SeenFile(folder: folder, repository: world.keys.repositoryID, location: "here") }

    var watch: FreshnessWatch {
        FreshnessWatch(
            folder: folder, repository: world.keys.repositoryID, location: "here", clock: { [clock] in clock.withLock { $0 } },
            report: { [reports] found in reports.withLock { $0.append(found) } }, onProblem: { [problems] error in problems.withLock { $0.append(error) } })
    }

    /// As a process opens it: with the config that the store has, and a cache that was just deleted.
    func open(_ other: (any Store)? = nil) throws -> OpenRepository {
        let store = other ?? world.store
        let watch = watch
        var keys = try keys.withLock { ring in
            try KeyRing(
                payload: ring.payload,
                config: RepositoryConfig.verified(try ConfigHistory.read(store), object: "config", authority: ring.authority))
        }
        try watch.compareConfig(&keys, store)
        return try OpenRepository(store: store, keys: keys, cacheDirectory: "\(folder)/\(UUID().uuidString)", freshness: watch)
    }

    /// What a new process finds missing.
    func findings(_ other: (any Store)? = nil) throws -> [FreshnessFinding] {
        let repository = try open(other)
        let catalog = SnapshotCatalog(repository)
        if repository.keys.role == .full { _ = try catalog.all(onProblem: { _, _ in }) } else { _ = try catalog.names() }
        return repository.freshness!.findings
    }

    /// The snapshots among them.
    func missing(_ other: (any Store)? = nil) throws -> Set<ObjectID> {
        Set(
            try findings(other).compactMap { finding in
                if case .snapshot(let id, _, _, _) = finding { id } else { nil }
            })
    }

    @discardableResult
    func snapshot(_ files: CollectionWorld.Files, source: String = "files", on other: (any Store)? = nil) throws -> ObjectID {
        try SnapshotTaking(open(other), files, source: source).run()
    }
}

/// All objects of a store at a moment, to be put back later as one who has the disk can do.
struct StoreImage {
    private let objects: [StoreKey: [UInt8]]

    init(_ store: any Store) throws {
        var objects: [StoreKey: [UInt8]] = [:]
        for object in try store.list("") { objects[object.key] = try store.get(object.key, atMost: 1 << 28) }
        self.objects = objects
    }

    func restore(to store: any Store) throws {
        for object in try store.list("") where objects[object.key] == nil { try store.delete(object.key) }
        for (key, bytes) in objects { try store.put(key, bytes, .replace) }
    }
}
