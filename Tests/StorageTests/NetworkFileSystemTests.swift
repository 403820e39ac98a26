import Glibc
import RepoBase
import Testing

@testable import Storage

/// What a mounted file server says that a disk does not. The errors are injected; the file system is the machine's own.
@Suite("A store on a network file system")
struct NetworkFileSystemTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    private func store(_ kind: FileSystemKind, _ interception: LocalStoreCalls.Interception? = nil) throws -> LocalStore {
        try LocalStore(
            path: folder.path, mustExist: false, clock: .system, calls: LocalStoreCalls(interception: interception), synchronises: true, fileSystem: kind)
    }

    @Test("An error of input or output may pass there, and is the disk's here", arguments: [FileSystemKind.nfs, .smb, .fuse, .cluster])
    func inputOutput(_ kind: FileSystemKind) throws {
        let failing: LocalStoreCalls.Interception = { call, _ in call == .fsync ? .fail(EIO) : .proceed }
        let there = #expect(throws: RepoError.self) { try store(kind, failing).put(StoreKey("config"), [1], .create) }
        #expect(there?.code == .unreachable)
        let here = #expect(throws: RepoError.self) { try store(.local, failing).put(StoreKey("config"), [1], .create) }
        #expect(here?.code == .failed)
    }

    @Test("A handle that has gone stale is opened anew, once")
    func stale() throws {
        let reads = Monitor(0)
        let store = try store(.nfs) { call, _ in
            guard call == .pread else { return .proceed }
            return reads.withLock { count in
                count += 1
                return count == 2 ? .fail(ESTALE) : .proceed
            }
        }
        try store.put(StoreKey("config"), [1, 2, 3], .create)
        #expect(try store.get(StoreKey("config"), atMost: 10) == [1, 2, 3])
        #expect(try store.get(StoreKey("config"), atMost: 10) == [1, 2, 3])
        let always = try self.store(.nfs) { call, _ in call == .pread ? .fail(ESTALE) : .proceed }
        let error = #expect(throws: RepoError.self) { try always.get(StoreKey("config"), atMost: 10) }
        #expect(error?.code == .unreachable)
    }

    @Test("A put that failed for the network is done by the next try, and leaves nothing")
    func retried() throws {
        let failures = Monitor(0)
        let store = try store(.nfs) { call, _ in
            guard call == .fsync || call == .renameNoReplace else { return .proceed }
            return failures.withLock { count in
                count += 1
                return count % 2 == 1 && count < 8 ? .fail(call == .fsync ? EIO : ESTALE) : .proceed
            }
        }
        let policy = RetryPolicy(attempts: 10, firstDelay: .zero, maximumDelay: .zero, totalTime: .seconds(30))
        try RetryingStore(store, policy: policy).put(StoreKey("packs/ab/one"), [1, 2, 3], .create)
        #expect(try store.get(StoreKey("packs/ab/one"), atMost: 10) == [1, 2, 3])
        var strays = 0
        try store.strays { _ in strays += 1 }
        #expect(strays == 0)
    }

    @Test(
        "Kinds are told by their numbers",
        arguments: [
            (0x6969, .nfs), (0xFF53_4D42, .smb), (0xFE53_4D42, .smb), (0x6573_5546, .fuse), (0x0102_1994, .memory), (0xEF53, .local),
            (0x9123_683E, .local),
        ] as [(UInt32, FileSystemKind)])
    func kinds(_ magic: UInt32, _ kind: FileSystemKind) { #expect(FileSystemKind(magic: magic) == kind) }
}
