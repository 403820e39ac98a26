import BlobEngine
import Glibc
import RepoBase
import Storage
import Testing

@testable import Repository

@Suite struct IndexCacheTests {
    /// Where in a table a byte is changed: far behind the part that opening verifies.
    @Test(arguments: [0.2, 0.45, 0.7, 0.95]) func aDamagedTableIsMadeAgainWhenAReadFails(place: Double) throws
    {
        let (repository, files) = try RepositoryCheckTests.make()
        defer { repository.remove() }
        _ = try repository.open().index()
        let folder = repository.cache + "/index"
        for name in try LocalFolder.names(in: folder) {
            var bytes = try #require(LocalFolder.contents("\(folder)/\(name)", atMost: 1 << 24))
            let start = Int(Double(bytes.count) * place)
            for index in start..<min(bytes.count, start + 64) { bytes[index] ^= 0x55 }
            try LocalFolder.replace("\(folder)/\(name)", with: bytes)
        }
        for (id, content) in files {
            #expect(try repository.read(id).mapValues { try $0.get() } == content)
        }
    }

    /// Its tables are mapped files, of which a process may have so many.
    @Test func aRepositoryIsLetGoWithItsIndex() throws {
        let (original, _) = try RepositoryCheckTests.make()
        defer { original.remove() }
        weak var left: OpenRepository?
        do {
            let repository = try original.open()
            #expect(try !repository.index().tables.isEmpty)
            left = repository
        }
        #expect(left == nil)
    }

    @Test func aReaderIsToldWhatItGoesWithout() throws {
        let (original, _) = try RepositoryCheckTests.make()
        defer { original.remove() }
        let repository = try original.opened(with: original.keys)
        defer { repository.remove() }
        let key = try #require(try repository.keys(IndexLoader.prefix).first)
        try repository.store.put(key, [1, 2, 3], .replace)
        #expect(code { _ = try repository.open().index() } == .damaged)
        let open = try repository.open()
        let told = Monitor<[StoreKey]>([])
        open.acceptPartialIndex { key, _ in told.withLock { $0.append(key) } }
        #expect(try !open.index().tables.isEmpty)
        #expect(told.withLock { $0 } == [key])
    }
}
