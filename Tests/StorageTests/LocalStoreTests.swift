import Glibc
import RepoBase
import StorageTesting
import Testing

@testable import Storage

@Suite("A store in a directory")
struct LocalStoreTests {
    let folder: TemporaryDirectory
    let store: LocalStore

    init() throws {
        folder = try TemporaryDirectory()
        store = try LocalStore(path: folder.path, mustExist: true)
    }

    @Test("Only its owner can read what it holds")
    func modes() throws {
        let old = umask(0)
        defer { umask(old) }
        try store.put(StoreKey("packs/ab/one"), [1], .create)
        #expect(folder.mode("packs") == 0o700)
        #expect(folder.mode("packs/ab") == 0o700)
        #expect(folder.mode("packs/ab/one") == 0o600)
        let nested = folder.path + "/new/deeper/"
        let other = try LocalStore(path: nested, mustExist: false)
        #expect(folder.mode("new/deeper") == 0o700)
        #expect(other.location == folder.path + "/new/deeper")
    }

    @Test("What root stores in another user's directory belongs to that user, and nothing outside of it does", .enabled(if: geteuid() == 0, "root alone"))
    func owner() throws {
        func owner(_ name: String) -> uid_t? {
            var status = stat()
            return lstat("\(folder.path)/\(name)", &status) == 0 && status.st_gid == (status.st_uid == 0 ? 0 : 54_321) ? status.st_uid : nil
        }
        for name in ["theirs", "elsewhere", "elsewhere/deep"] { folder.makeDirectory(name) }
        try #require(chown("\(folder.path)/theirs", 12_345, 54_321) == 0)
        try #require(symlink("\(folder.path)/elsewhere", "\(folder.path)/theirs/linked") == 0)
        let theirs = try LocalStore(path: folder.path + "/theirs", mustExist: true)
        for key in ["reports/2026/one", "config", "linked/one", "linked/new/one", "linked/deep/one"] { try theirs.put(StoreKey(key), [1], .create) }
        for name in ["reports", "reports/2026", "reports/2026/one", "config"] { #expect(owner("theirs/\(name)") == 12_345, "\(name)") }
        for name in ["", "/one", "/new", "/new/one", "/deep", "/deep/one"] { #expect(owner("elsewhere\(name)") == 0, "\(name)") }
        try store.put(StoreKey("config"), [1], .create)
        #expect(owner("config") == 0)
    }

    @Test("A directory that must exist and does not is no repository")
    func absent() throws {
        #expect(code { _ = try LocalStore(path: folder.path + "/x", mustExist: true) } == .noRepository)
        folder.write("file", [1])
        for mustExist in [true, false] {
            #expect(code { _ = try LocalStore(path: folder.path + "/file", mustExist: mustExist) } == .failed)
            #expect(
                code { _ = try LocalStore(path: folder.path + "/file/x", mustExist: mustExist) } == .failed)
        }
    }

    @Test("A directory that vanishes is a failure, not an empty store", arguments: [false, true])
    func vanished(_ comesBackAsAnother: Bool) throws {
        let inner = try LocalStore(path: folder.path + "/inner", mustExist: false)
        let key = StoreKey("config")
        try inner.put(key, [1], .create)
        #expect(rename(folder.path + "/inner", folder.path + "/moved") == 0)
        if comesBackAsAnother { folder.makeDirectory("inner") }
        #expect(unlink(folder.path + "/moved/config") == 0)
        for body in [
            { _ = try inner.stat(key) }, { _ = try inner.get(key, atMost: 1) }, { try inner.delete(key) },
            { _ = try inner.list("") }, { _ = try inner.strays { _ in } },
            { try inner.put(key, [1], .create) },
        ] {
            do {
                try body()
                Issue.record("nothing was thrown")
            } catch let error as RepoError {
                #expect(error.code == .failed && error.message.contains("unmounted"))
            }
        }
    }

    @Test("A removed directory fails puts too")
    func removed() throws {
        let inner = try LocalStore(path: folder.path + "/inner", mustExist: false)
        #expect(rmdir(folder.path + "/inner") == 0)
        #expect(code { try inner.put(StoreKey("packs/a/b"), [1], .create) } == .failed)
        #expect(code { try inner.put(StoreKey("config"), [1], .create) } == .failed)
    }

    @Test("A folder that somebody removed is made again")
    func removedFolder() throws {
        try store.put(StoreKey("packs/ab/one"), [1], .create)
        try store.delete(StoreKey("packs/ab/one"))
        #expect(rmdir(folder.path + "/packs/ab") == 0 && rmdir(folder.path + "/packs") == 0)
        try store.put(StoreKey("packs/ab/two"), [2], .create)
        #expect(try store.get(StoreKey("packs/ab/two"), atMost: 1) == [2])
    }

    @Test("What is no object is skipped by listings and told as a stray")
    func strays() throws {
        try store.put(StoreKey("packs/ab/one"), [1], .create)
        folder.write("packs/ab/.tmp-0123456789abcdef", [1, 2])
        folder.write(".hidden", [1])
        folder.write("with space", [1, 2, 3])
        folder.makeDirectory("lost+found")
        folder.write("lost+found/inner", [])
        folder.makeDirectory(".git")
        folder.makeDirectory("empty")
        #expect(mkfifo(folder.path + "/fifo", 0o600) == 0)
        #expect(symlink("/nowhere", folder.path + "/dangling") == 0)
        #expect(try store.list("").map(\.key.description) == ["packs/ab/one"])
        var found: [LocalStore.Stray] = []
        try store.strays { found.append($0) }
        found.sort { $0.path < $1.path }
        #expect(
            found.map(\.path) == [
                ".git", ".hidden", "fifo", "lost+found", "packs/ab/.tmp-0123456789abcdef", "with space",
            ])
        #expect(found.map(\.size) == [0, 1, 0, 0, 2, 3])
        #expect(found.filter(\.isTemporary).map(\.path) == ["packs/ab/.tmp-0123456789abcdef"])
        for name in ["fifo", "dangling", "empty"] {
            #expect(try store.stat(StoreKey(name)) == nil)
            #expect(code { _ = try store.get(StoreKey(name), atMost: 9) } == .notFound)
            var byte: UInt8 = 0
            #expect(
                code {
                    try withUnsafeMutableBytes(of: &byte) {
                        _ = try store.read(StoreKey(name), at: 0, into: $0)
                    }
                }
                    == .notFound)
        }
    }

    @Test("Listings and reads follow a folder that was moved to another disk")
    func movedFolder() throws {
        let elsewhere = try TemporaryDirectory()
        #expect(symlink(elsewhere.path, folder.path + "/packs") == 0)
        try store.put(StoreKey("packs/ab/one"), [1], .create)
        #expect(try store.list("packs/").map(\.key.description) == ["packs/ab/one"])
        #expect(elsewhere.contents() == ["ab", "ab/one"])
    }

    @Test("Abandoned puts go once they are old enough")
    func abandoned() throws {
        let now = Int64(time(nil))
        for (name, age) in [("a", 10), ("b", 1000)] {
            folder.write(".tmp-\(name)", [1])
            let moment = timespec(tv_sec: Int(now) - age, tv_nsec: 0)
            #expect(utimensat(AT_FDCWD, "\(folder.path)/.tmp-\(name)", [moment, moment], 0) == 0)
        }
        folder.write(".other", [1])
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(2000)) == 0)
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(500)) == 1)
        #expect(folder.contents() == [".other", ".tmp-a"])
    }

    @Test("Ranges of one object open it once, and see what other processes do to it")
    func descriptors() throws {
        let opens = Monitor(0)
        let calls = LocalStoreCalls { call, _ in
            if call == .open { opens.withLock { $0 += 1 } }
            return .proceed
        }
        let cached = try LocalStore(path: folder.path, mustExist: true, calls: calls)
        let key = StoreKey("packs/ab/one")
        try store.put(key, [1, 2, 3], .create)
        opens.withLock { $0 = 0 }
        for _ in 0..<100 { #expect(try cached.get(key, atMost: 9) == [1, 2, 3]) }
        #expect(opens.withLock { $0 } == 1)
        try store.put(key, [4, 5], .replace)
        #expect(try cached.get(key, atMost: 9) == [4, 5])
        try store.delete(key)
        #expect(cached.opened.count == 1)
        var byte: UInt8 = 0
        #expect(
            code { try withUnsafeMutableBytes(of: &byte) { _ = try cached.read(key, at: 0, into: $0) } }
                == .notFound)
        #expect(cached.opened.count == 0)
    }

    @Test("Few descriptors are kept, and none of a deleted object")
    func boundedDescriptors() throws {
        for index in 0..<2 * OpenedObjects.capacity {
            try store.put(StoreKey("index/\(index)"), [UInt8(index)], .create)
            #expect(try store.get(StoreKey("index/\(index)"), atMost: 1) == [UInt8(index)])
        }
        #expect(store.opened.count == OpenedObjects.capacity)
        for index in 0..<2 * OpenedObjects.capacity { try store.delete(StoreKey("index/\(index)")) }
        #expect(store.opened.count == 0)
    }

    @Test("Failing reads, listings and deletions say what to do", arguments: [EIO, EACCES, ESTALE, EMFILE])
    func failures(_ number: CInt) throws {
        let key = StoreKey("index/one")
        try store.put(key, [1, 2], .create)
        let expected: RepoError.Code = number == ESTALE ? .unreachable : .failed
        var byte: UInt8 = 0
        for (failing, body) in [
            (LocalStoreCall.open, { try $0.list("index/") { _ in } }),
            (.readdir, { try $0.list("index/") { _ in } }),
            (.stat, { _ = try $0.stat(key) }),
            (
                .open,
                { store in try withUnsafeMutableBytes(of: &byte) { _ = try store.read(key, at: 0, into: $0) }
                }
            ),
            (
                .pread,
                { store in try withUnsafeMutableBytes(of: &byte) { _ = try store.read(key, at: 0, into: $0) }
                }
            ),
            (.unlink, { try $0.delete(key) }), (.fsync, { try $0.delete(key) }),
        ] as [(LocalStoreCall, (any Store) throws -> Void)] {
            let armed = Monitor(false)
            let calls = LocalStoreCalls { call, _ in
                call == failing && armed.withLock { $0 } ? .fail(number) : .proceed
            }
            let failingStore = try LocalStore(path: folder.path, mustExist: true, calls: calls)
            armed.withLock { $0 = true }
            do {
                try body(failingStore)
                Issue.record("\(failing) did not fail")
            } catch let error as RepoError {
                #expect(error.code == expected, "\(failing): \(error)")
                #expect(error.message.contains("index") && !error.advice.isEmpty)
            }
        }
    }
}
