import BlobEngine
import RepoBase
import Testing

@testable import Repository

@Suite("The cache of bases")
struct PlaintextCacheTests {
    private static let size = 256 << 10

    private static func id(_ number: Int) -> BlobID { BlobID(words: UInt64(number), 1, 2, 3) }

    private static func insert(_ number: Int, _ cache: PlaintextCache) {
        let buffer = AlignedBuffer(capacity: size)
        buffer.count = size
        cache.insert(id(number), buffer)
    }

    /// Of the numbers, those that are held.
    private static func held(_ cache: PlaintextCache, _ numbers: Range<Int>) -> [Int] {
        numbers.filter { cache.find(id($0)) != nil }
    }

    @Test("It stays small while nothing is wanted again")
    func small() {
        let cache = PlaintextCache(limit: 32 << 20)
        for number in 0..<200 { Self.insert(number, cache) }
        #expect(Self.held(cache, 0..<200) == Array(192..<200))
    }

    @Test("It grows by what is wanted again, and never beyond its limit")
    func grows() {
        let cache = PlaintextCache(limit: 8 << 20)
        for _ in 0..<20 {
            for number in 0..<30 where cache.find(Self.id(number)) == nil { Self.insert(number, cache) }
        }
        #expect(Self.held(cache, 0..<30).count == 30)
        for _ in 0..<20 {
            for number in 0..<60 where cache.find(Self.id(number)) == nil { Self.insert(number, cache) }
        }
        #expect(Self.held(cache, 0..<60).count == 32)
    }

    @Test("What was used last is dropped last")
    func order() {
        let cache = PlaintextCache(limit: 2 << 20)
        for number in 0..<8 { Self.insert(number, cache) }
        _ = cache.find(Self.id(0))
        Self.insert(8, cache)
        #expect(Self.held(cache, 0..<9) == [0] + Array(2..<9))
    }
}
