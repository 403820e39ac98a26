import BlobEngine
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository

/// Deltas against what lies in a store that is far away.
@Suite("Bases from far away")
struct FarBasesTests {
    /// What a second version of a stream costs: bytes stored, and reads.
    private struct Cost {
        let bytes: Int
        let reads: Int
    }

    private static let first: [UInt8] = {
        var numbers = StreamNumbers(seed: 31)
        return numbers.text(3_000_000)
    }()

    private static let second: [UInt8] = {
        var bytes = first
        for place in stride(from: 1000, to: bytes.count, by: 20_000) { bytes[place] ^= 1 }
        return bytes
    }()

    /// One secret for all that is compared: where chunks end, and so what a version costs, depends on it.
    private let master: StreamRepository

    init() throws { master = try StreamRepository() }

    private func cost(_ choice: DeltaBaseChoice, isRemote: Bool = true) throws -> Cost {
        let streams = try StreamRepository(copying: master)
        let one = try streams.store(Self.first, in: streams.open(), previous: nil, threads: 2)
        let before = try streams.size()
        let store = StorageTesting.CountingStore(streams.store)
        let repository = try isRemote ? streams.open(far: store) : streams.open()
        _ = try repository.index()
        let two = try streams.store(Self.second, in: repository, previous: one.content, threads: 2, deltaBases: choice)
        var read: [UInt8] = []
        try ContentStream(try streams.open()).read(two.content, size: two.size) { read += $0 }
        #expect(read == Self.second)
        return Cost(bytes: Int(try streams.size() - before), reads: store.counts[.read])
    }

    @Test("Bases of a batch come together, and cost few bytes more than from a disk")
    func together() throws {
        let near = try cost(.auto, isRemote: false)
        let far = try cost(.auto)
        let chunks = Self.first.count / 12_288
        #expect(far.reads < chunks / 4, "\(far.reads) reads for about \(chunks) chunks")
        #expect(far.bytes < near.bytes * 3 / 2, "\(far.bytes) and \(near.bytes)")
    }

    @Test("Without bases nothing is fetched; with all of them, as little is stored as from a disk")
    func choices() throws {
        let never = try cost(.never)
        let auto = try cost(.auto)
        let always = try cost(.always)
        let near = try cost(.always, isRemote: false)
        #expect(never.reads < 10 && never.bytes > 5 * auto.bytes, "\(never), \(auto)")
        #expect(always.bytes < near.bytes * 21 / 20, "\(always), \(near)")
    }

    @Test("A base that cannot be fetched is no reason to fail")
    func unreadable() throws {
        let streams = try StreamRepository()
        let one = try streams.store(Self.first, in: streams.open(), previous: nil, threads: 2)
        let largest = try #require(try streams.store.list("packs/").max { $0.size < $1.size }).key
        let store = FaultingStore(streams.store) { operation in
            operation.kind == .read && operation.name == largest.description ? .failBefore(RepoError(.unreachable, "gone")) : nil
        }
        let two = try streams.store(Self.second, in: streams.open(far: store), previous: one.content, threads: 2)
        var read: [UInt8] = []
        try ContentStream(try streams.open()).read(two.content, size: two.size) { read += $0 }
        #expect(read == Self.second)
    }
}
