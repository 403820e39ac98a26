import Glibc
import PostgresFormats
import RepoBase
import StorageTesting
import Testing

@testable import WALArchive

@Suite("Segments kept ahead of a recovery")
struct SpoolTests {
    private let system = ArchiveFixture.system
    private let size = WALSegmentSize(bytes: 1 << 20)!

    private func name(_ number: UInt64) -> String { ArchiveFixture.segment(number, size: size) }

    private func filled() throws -> (ArchiveFixture, WALSpool) {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        for number in 1...30 as ClosedRange<UInt64> where number != 25 {
            try archive.store([ArchiveFixture.file(name(number), seed: number)], system: system, segmentSize: size)
        }
        let spool = WALSpool(folder: fixture.folder + "/spool")
        try archive.fill(spool, behind: name(4), size: 1 << 20, system: system, threads: 1)
        return (fixture, spool)
    }

    @Test("as many as are kept ahead are fetched, up to the first that is missing, and each is delivered once")
    func deliver() throws {
        let (fixture, spool) = try filled()
        let target = fixture.folder + "/target"
        for number in 5...20 as ClosedRange<UInt64> {
            #expect(spool.deliver(name(number), to: target))
            #expect(try LocalContent.read(target).array == ArchiveFixture.content(number, count: 1 << 20).array)
            #expect(!spool.deliver(name(number), to: target))
        }
        #expect(!spool.deliver(name(21), to: target))
        try fixture.archive().fill(spool, behind: name(20), size: 1 << 20, system: system, threads: 1)
        #expect(spool.has(name(24)) && !spool.has(name(25)) && !spool.has(name(26)))
    }

    @Test("a spool is filled again when half of it is used, by one process, and forgets what lies behind")
    func refill() throws {
        let (fixture, spool) = try filled()
        #expect(!spool.needsFilling(behind: name(4), size: 1 << 20))
        #expect(!spool.needsFilling(behind: name(12), size: 1 << 20))
        #expect(spool.needsFilling(behind: name(13), size: 1 << 20))
        var ranTwice = true
        _ = try spool.whileFilling {
            #expect(!spool.needsFilling(behind: name(13), size: 1 << 20))
            ranTwice = try spool.whileFilling {}
        }
        #expect(!ranTwice)
        try fixture.archive().fill(spool, behind: name(13), size: 1 << 20, system: system, threads: 1)
        #expect(!spool.has(name(13)) && spool.has(name(14)) && spool.has(name(24)))
    }

    @Test("filling it leaves alone what is being delivered at this moment, and removes what a killed delivery left")
    func claimed() throws {
        let (fixture, spool) = try filled()
        let own = "claimed-\(getpid())-\(name(5))"
        // No process has such a number (pid_max, proc(5)).
        let dead = "claimed-\(Int32.max)-\(name(6))"
        #expect(rename(spool.path(name(5)), spool.path(own)) == 0 && rename(spool.path(name(6)), spool.path(dead)) == 0)
        try fixture.archive().fill(spool, behind: name(7), size: 1 << 20, system: system, threads: 1)
        #expect(spool.has(own) && !spool.has(dead))
    }

    @Test("a file that is cut off, changed, or of another segment is never delivered", arguments: 0..<6)
    func unsound(kind: Int) throws {
        let (fixture, spool) = try filled()
        let path = spool.path(name(5))
        let bytes = try LocalContent.read(path).array
        var changed = bytes
        switch kind {
        case 0: changed.removeLast()
        case 1: changed[1000] ^= 1
        case 2: changed[bytes.count - 40] ^= 1
        case 3: changed = Array(bytes.prefix(1 << 20))
        case 4: changed = []
        default: changed = try LocalContent.read(spool.path(name(6))).array
        }
        let content = AlignedBuffer(capacity: changed.count)
        content.base.copyMemory(from: changed, byteCount: changed.count)
        content.count = changed.count
        try LocalContent.publish(content, at: path)
        let target = fixture.folder + "/target"
        #expect(!spool.deliver(name(5), to: target))
        #expect(access(target, F_OK) != 0 && access(path, F_OK) != 0)
    }

    @Test("a damaged object is never kept ahead")
    func damagedObject() throws {
        let (fixture, spool) = try filled()
        let key = WALObjectName.file(.segment(name: name(22))).key(systemIdentifier: system)
        var bytes = try fixture.store.get(key, atMost: 2 << 20)
        bytes[bytes.count - 1] ^= 1
        try fixture.store.put(key, bytes, .replace)
        #expect(throws: RepoError.self) {
            try fixture.archive().fill(spool, behind: name(18), size: 1 << 20, system: system, threads: 1)
        }
        #expect(spool.has(name(21)) && !spool.has(name(22)))
    }
}
