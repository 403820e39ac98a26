import BlobEngine
import Glibc
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository

@Suite("Copies of objects on this machine")
final class ObjectCacheTests {
    private let folder: String

    init() throws {
        var template = Array("/tmp/repo-objects-XXXXXX".utf8CString)
        folder = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit {
        for name in (try? LocalFolder.names(in: folder)) ?? [] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    private func object(_ number: UInt8, size: Int = 1000) -> (id: ObjectID, bytes: [UInt8]) {
        let bytes = [UInt8](repeating: number, count: size)
        return (ObjectHasher.hash(bytes), bytes)
    }

    private var size: UInt64 {
        ((try? LocalFolder.names(in: folder)) ?? []).reduce(0) { total, name in
            var status = stat()
            return lstat("\(folder)/\(name)", &status) == 0 ? total + UInt64(status.st_size) : total
        }
    }

    @Test("What was kept is found, by other processes too, and what was deleted is not")
    func shared() throws {
        let (id, bytes) = object(1)
        let cache = ObjectCache(folder: folder)
        #expect(cache.bytes(of: id, atMost: 5000) == nil)
        cache.keep(id, bytes)
        let other = ObjectCache(folder: folder)
        #expect(other.bytes(of: id, atMost: 5000) == bytes)
        #expect(other.bytes(of: id, atMost: 999) == nil)
        let copy = try #require(other.copy(of: id))
        unlink("\(folder)/\(id)")
        #expect(copy.bytes(at: 10, count: 20) == Array(bytes[10..<30]), "who reads it is not disturbed")
        #expect(copy.bytes(at: 990, count: 20) == nil)
        #expect(cache.bytes(of: id, atMost: 5000) == nil)
    }

    @Test("A damaged copy, a longer one, a link and a folder in its place are nothing")
    func damaged() throws {
        let (id, bytes) = object(2)
        let path = "\(folder)/\(id)"
        for damage in [Array(bytes.dropLast()), bytes + [2], [UInt8](repeating: 3, count: 1000), []] {
            let cache = ObjectCache(folder: folder)
            cache.keep(id, bytes)
            try LocalFolder.replace(path, with: damage)
            #expect(cache.copy(of: id) == nil)
            #expect(access(path, F_OK) != 0, "it is out of the way")
            cache.keep(id, bytes)
            try LocalFolder.replace(path, with: damage)
            #expect(cache.bytes(of: id, atMost: 5000) == nil)
        }
        try LocalFolder.replace(folder + "/elsewhere", with: bytes)
        symlink(folder + "/elsewhere", path)
        #expect(ObjectCache(folder: folder).copy(of: id) == nil)
        unlink(path)
        mkdir(path, 0o700)
        #expect(ObjectCache(folder: folder).copy(of: id) == nil)
        rmdir(path)
    }

    @Test("It keeps within its bound, and those used longest ago go first")
    func bounded() throws {
        let cache = ObjectCache(folder: folder, limit: 10_000)
        let objects = (0..<40).map { object(UInt8($0)) }
        for (number, (id, bytes)) in objects.enumerated() {
            cache.keep(id, bytes)
            var times = [timespec(tv_sec: 1_000_000 + number, tv_nsec: 0), timespec(tv_sec: 1_000_000 + number, tv_nsec: 0)]
            utimensat(AT_FDCWD, "\(folder)/\(id)", &times, 0)
            #expect(size <= 10_000 + 10_000 / 8)
            #expect(cache.bytes(of: id, atMost: 5000) == bytes, "using it makes it young")
        }
        let found = objects.filter { ObjectCache(folder: folder).bytes(of: $0.id, atMost: 5000) != nil }
        #expect(found.count >= 5 && found.last?.id == objects.last?.id)
        let (id, large) = object(77, size: 3000)
        cache.keep(id, large)
        #expect(cache.bytes(of: id, atMost: 5000) == nil, "more than a quarter of it is not kept")
        let reading = cache.withoutKeeping
        let (other, bytes) = object(78)
        reading.keep(other, bytes)
        #expect(reading.bytes(of: other, atMost: 5000) == nil)
    }

    /// All plaintexts of the lists and trees of a snapshot's tree, read with `objects`.
    private func readAll(_ repository: CheckedRepository, _ objects: ObjectCache?, _ store: any Store) throws {
        let open = try OpenRepository(store: store, keys: repository.keys, cacheDirectory: repository.cache, objects: objects)
        for entry in try SnapshotCatalog(open).all() { #expect(Reachability.isConfirmed(entry.snapshot.root, open)) }
    }

    @Test("Directories come from copies, a pack is fetched once, and a changed copy is read past")
    func packs() throws {
        let (repository, _) = try RepositoryCheckTests.make()
        defer { repository.remove() }
        let counting = StorageTesting.CountingStore(repository.store)
        let cache = ObjectCache(folder: folder)
        try readAll(repository, cache, counting)
        let cold = counting.counts[.read]
        counting.reset()
        try readAll(repository, cache, counting)
        #expect(counting.counts[.read] < cold, "\(counting.counts[.read]) reads after \(cold)")
        let warm = counting.counts[.read]
        // Altered while a process holds it open, after it was verified.
        let open = try OpenRepository(store: repository.store, keys: repository.keys, cacheDirectory: repository.cache, objects: cache)
        let entry = try #require(try SnapshotCatalog(open).all().last)
        #expect(Reachability.isConfirmed(entry.snapshot.root, open))
        for name in try LocalFolder.names(in: folder) {
            let file = Glibc.open("\(folder)/\(name)", O_WRONLY)
            let rubbish = [UInt8](repeating: 9, count: 4000)
            pwrite(file, rubbish, rubbish.count, 0)
            close(file)
        }
        #expect(Reachability.isConfirmed(entry.snapshot.root, open))
        counting.reset()
        try readAll(repository, nil, counting)
        #expect(counting.counts[.read] > warm, "without copies all is read from the store")
    }
}
