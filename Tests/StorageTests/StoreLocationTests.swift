import RepoBase
import Storage
import StorageTesting
import Testing

@Suite("Where a repository is")
struct StoreLocationTests {
    @Test(
        "Paths and file: URLs name directories",
        arguments: [
            ("/srv/backup", "/srv/backup"), ("backup", "backup"), ("./s3:x", "./s3:x"), ("a/b:c", "a/b:c"),
            ("file:/srv/backup", "/srv/backup"), ("FILE:///srv/a%20b%25", "/srv/a b%"),
            ("file://localhost/srv", "/srv"), ("file:///%C3%A4", "/\u{e4}"), ("/srv/~/x", "/srv/~/x"),
            ("1:2", "1:2"), ("a b:c", "a b:c"), (":x", ":x"), ("/with%20percent", "/with%20percent"),
        ])
    func paths(_ text: String, _ path: String) throws {
        #expect(try StoreLocation(text).path == path)
    }

    @Test(
        "What names no directory is refused with advice",
        arguments: [
            "", "s3:bucket/x", "s3://key:secret@host/bucket", "azblob:x", "gs:x", "sftp:user@host:/x",
            "SFTP:x",
            "http://host/x", "b2:bucket", "host:path", "file:relative", "file://host/path", "file:///%zz",
            "file:///a%0",
            "file:///%00", "file:///%ff", "file:", "~", "~/backup", "a\0b",
        ])
    func refused(_ text: String) {
        do {
            _ = try StoreLocation(text)
            Issue.record("'\(text)' was accepted")
        } catch {
            let error = error as? RepoError
            #expect(error?.code == .usage)
            #expect(error?.advice.isEmpty == false)
            #expect(error?.description.contains("secret") == false)
        }
    }

    @Test("Known stores of later versions are named as such")
    func later() {
        for scheme in ["s3", "azblob", "gs", "sftp"] {
            do { _ = try StoreLocation("\(scheme):x") } catch {
                #expect("\(error)".contains("not in this version"))
            }
        }
    }

    @Test("An opened location is a store")
    func opens() throws {
        let folder = try TemporaryDirectory()
        let location = try StoreLocation("file://\(folder.path)/new")
        #expect(code { _ = try location.open(mustExist: true) } == .noRepository)
        let store = try location.open(mustExist: false)
        try store.put(StoreKey("config"), [1], .create)
        #expect(folder.contents() == ["new", "new/config"])
    }
}

@Suite("Getting a whole object")
struct GetTests {
    @Test("A version that grows between the look and the read comes back whole")
    func growing() throws {
        let key = StoreKey("config")
        let base = MemoryStore()
        try base.put(key, [1], .create)
        let store = FaultingStore(base) { operation in
            // Just before the bytes are read another process replaces them.
            if operation.kind == .read, operation.ordinal <= 4 {
                try? base.put(key, [UInt8](repeating: 2, count: operation.ordinal * 100), .replace)
            }
            return nil
        }
        #expect(try store.get(key, atMost: 1000) == [UInt8](repeating: 2, count: 400))
    }

    @Test("A store that tells wrong sizes does not hold up its reader for ever")
    func wrongSizes() throws {
        let key = StoreKey("config")
        let base = MemoryStore()
        let store = FaultingStore(base) { operation in
            try? base.put(key, [UInt8](repeating: 0, count: operation.kind == .read ? 2 : 1), .replace)
            return nil
        }
        #expect(code { _ = try store.get(key, atMost: 9) } == .damaged)
    }
}
