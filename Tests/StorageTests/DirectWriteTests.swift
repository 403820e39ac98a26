import Glibc
import RepoBase
import StorageTesting
import Testing

@testable import Storage

/// Large objects go past the page cache, and the same bytes are there afterwards, however that goes.
@Suite("Writes past the page cache")
struct DirectWriteTests {
    /// A whole number of blocks, and not; and too small to bother.
    static let sizes = [2 << 20, (2 << 20) + 1, (3 << 20) - 5, 1 << 20, 5000]

    private func buffer(_ size: Int) -> AlignedBuffer {
        let buffer = AlignedBuffer(capacity: size)
        for place in 0..<size {
            buffer.base.storeBytes(of: UInt8(truncatingIfNeeded: place &* 2_654_435_761 >> 9), toByteOffset: place, as: UInt8.self)
        }
        buffer.count = size
        return buffer
    }

    private func check(_ folder: TemporaryDirectory, _ size: Int, _ calls: LocalStoreCalls) throws {
        let buffer = buffer(size)
        let store = try LocalStore(
            path: folder.path, mustExist: true, clock: .system, calls: calls, synchronises: true, cachedLimit: 0)
        let key = StoreKey("packs/ab/\(size)")
        try store.put(key, buffer.bytes, .create)
        let read = try store.get(key, atMost: size)
        #expect(withExtendedLifetime(buffer) { buffer.bytes.elementsEqual(read) })
        #expect(try store.list("").count == 1)
    }

    @Test("What is stored is what was given", arguments: sizes)
    func plain(_ size: Int) throws {
        try check(try TemporaryDirectory(), size, .kernel)
    }

    @Test("A file system that refuses gets everything through the cache", arguments: sizes)
    func refused(_ size: Int) throws {
        let refusals = Monitor(0)
        let calls = LocalStoreCalls { call, _ in
            guard call == .write else { return .proceed }
            return refusals.withLock { count in
                count += 1
                return count == 1 && size >= 1 << 20 ? .fail(EINVAL) : .proceed
            }
        }
        try check(try TemporaryDirectory(), size, calls)
    }

    @Test("Short and interrupted writes lose nothing", arguments: [4096, 12288, 5000, 777_777])
    func short(_ limit: Int) throws {
        let ordinal = Monitor(0)
        let calls = LocalStoreCalls { call, _ in
            guard call == .write else { return .proceed }
            let count = ordinal.withLock { count in
                count += 1
                return count
            }
            return count % 5 == 0 ? .fail(EINTR) : .atMost(limit)
        }
        try check(try TemporaryDirectory(), (2 << 20) + 123, calls)
    }

    @Test("A full disk is reported, and leaves nothing")
    func full() throws {
        let folder = try TemporaryDirectory()
        let calls = LocalStoreCalls { call, _ in call == .write ? .fail(ENOSPC) : .proceed }
        let store = try LocalStore(
            path: folder.path, mustExist: true, clock: .system, calls: calls, synchronises: true, cachedLimit: 0)
        let buffer = buffer(2 << 20)
        #expect(throws: RepoError.self) { try store.put(StoreKey("packs/ab/full"), buffer.bytes, .create) }
        withExtendedLifetime(buffer) {}
        #expect(try store.list("").isEmpty)
    }

    @Test("The first objects stay in the cache, later ones pass it by")
    func limit() throws {
        let folder = try TemporaryDirectory()
        let store = try LocalStore(
            path: folder.path, mustExist: true, clock: .system, calls: .kernel, synchronises: true, cachedLimit: 3 << 20)
        let buffer = buffer(2 << 20)
        let choices = (0..<3).map { _ in store.bypassesCache(buffer.bytes) }
        withExtendedLifetime(buffer) {}
        #expect(choices == [false, false, true])
    }
}
