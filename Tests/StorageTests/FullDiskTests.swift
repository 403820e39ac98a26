import Glibc
import RepoBase
import Storage
import Testing

/// A file system of 1 MiB, where this process may mount one.
@Suite("A store on a real small disk", .serialized)
struct FullDiskTests {
    /// Runs `body` with a mounted directory; nothing where mounting is not permitted.
    private func onSmallDisk(_ body: (String) throws -> Void) throws {
        let folder = try TemporaryDirectory()
        guard mount("tmpfs", folder.path, "tmpfs", 0, "size=1m") == 0 else { return }
        defer { umount2(folder.path, CInt(MNT_DETACH)) }
        try body(folder.path)
    }

    @Test("A full disk refuses an object whole, keeps the others and takes more after a deletion")
    func full() throws {
        try onSmallDisk { path in
            let store = try LocalStore(path: path, mustExist: true)
            let bytes = [UInt8](repeating: 7, count: 300_000)
            var stored = 0
            var thrown: RepoError?
            while thrown == nil, stored < 10 {
                do {
                    try store.put(StoreKey("packs/ab/\(stored)"), bytes, .create)
                    stored += 1
                } catch let error as RepoError { thrown = error }
            }
            #expect(stored == 3)
            #expect(thrown?.code == .storeFull)
            #expect(thrown?.advice.contains("Free space") == true)
            #expect(try store.list("").count == 3)
            var strays = 0
            try store.strays { _ in strays += 1 }
            #expect(strays == 0, "the unfinished put is gone, and its space with it")
            try store.delete(StoreKey("packs/ab/0"))
            try store.put(StoreKey("packs/ab/3"), bytes, .create)
            #expect(try store.get(StoreKey("packs/ab/3"), atMost: 300_000) == bytes)
        }
    }

    @Test("A disk that turns read-only refuses changes and still reads")
    func readOnly() throws {
        try onSmallDisk { path in
            let store = try LocalStore(path: path, mustExist: true)
            let key = StoreKey("config")
            try store.put(key, [1, 2], .create)
            try #require(
                mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), "size=1m") == 0)
            for body in [
                { try store.put(key, [3], .replace) }, { try store.put(StoreKey("packs/a/b"), [3], .create) },
                { try store.delete(key) },
            ] {
                do {
                    try body()
                    Issue.record("a read-only disk was changed")
                } catch let error as RepoError {
                    #expect(error.code == .failed && error.advice.contains("read-only"))
                }
            }
            #expect(try store.get(key, atMost: 2) == [1, 2])
        }
    }
}
