import CLinux
import Glibc
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

struct DirectWritingTests {
    /// Contents whose chunks begin and end anywhere in a page, with holes, a hard link, and sizes around a page and around the least stretch.
    private func fill(_ source: TemporaryDirectory) {
        var random = SeededGenerator(seed: 26)
        let page = Int(DirectWriting.alignment)
        let sizes = [0, 1, page, DirectWriting.minimum - 1, DirectWriting.minimum, 3 * page + 17, (3 << 20) + 1, 9 << 20, (9 << 20) - page + 5]
        for (index, size) in sizes.enumerated() {
            source.write(Array("file-\(index)".utf8), (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
        let file = open(source.text("sparse"), O_RDWR | O_CREAT, 0o600)
        defer { close(file) }
        let bytes = (0..<(2 << 20) + 333).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        #expect(pwrite(file, bytes, bytes.count, 5000) == bytes.count)
        #expect(pwrite(file, bytes, bytes.count, 20 << 20) == bytes.count)
        #expect(ftruncate(file, (40 << 20) + 7) == 0)
        #expect(link(source.text("file-6"), source.text("also-6")) == 0)
    }

    @Test(arguments: [0, 1 << 20, Int.max])
    func everyByteIsRestoredWhicheverWayItIsWritten(cachedLimit: Int) throws {
        let fixture = try RestoreFixture()
        fill(fixture.source)
        let root = try fixture.snapshot().root
        let result = try fixture.restore(root) { $0.cachedLimit = cachedLimit }
        #expect(result.problems.isEmpty)
        let (before, after) = (try FileManifest(fixture.source.path), try FileManifest(fixture.restored))
        #expect(before == after, "\(before.differences(after))")
        // Holes take no room, with a block or two at each of their ends.
        #expect(after.blocks <= before.blocks + 64)
    }

    @Test func whatIsWrittenPastTheCacheIsNotInIt() throws {
        let fixture = try RestoreFixture()
        fill(fixture.source)
        let root = try fixture.snapshot(threads: 1).root
        let place = fixture.place.open()
        defer { close(place) }
        // ext4 or XFS.
        guard [0xef53, 0x5846_5342].contains(linux_file_system(place)) else { return }
        // One thread, here and before: how long the stretches are that two gather depends on who runs when.
        try fixture.restore(root) { options in
            options.cachedLimit = 0
            options.threads = 1
        }
        let path = String(decoding: fixture.restored, as: UTF8.self) + "/file-7"
        let resident = try residentPages(path)
        // Short stretches at the ends of batches go through it.
        #expect(resident * 4 < (9 << 20) / Int(DirectWriting.alignment), "\(resident) pages")
    }

    @Test func aFileSystemWithoutItIsWrittenThroughTheCache() throws {
        let writing = DirectWriting(cachedLimit: 0)
        #expect(writing.isWanted(DirectWriting.minimum))
        #expect(!writing.isWanted(DirectWriting.minimum - 1))
        let memory = TargetHandle(linux_memfd_create("file"))
        #expect(writing.open(Array("file".utf8), in: AT_FDCWD, sameAs: memory) == nil)
        #expect(!writing.isWanted(DirectWriting.minimum), "asked for again after it was refused")
    }

    @Test func theFirstBytesStayInTheCache() {
        let writing = DirectWriting(cachedLimit: 3 * DirectWriting.minimum)
        let wanted = (0..<5).map { _ in writing.isWanted(DirectWriting.minimum) }
        #expect(wanted == [false, false, false, true, true])
    }

    private func residentPages(_ path: String) throws -> Int {
        let file = open(path, O_RDONLY)
        try #require(file >= 0)
        defer { close(file) }
        var status = stat()
        #expect(fstat(file, &status) == 0)
        let size = Int(status.st_size)
        let map = try #require(mmap(nil, size, PROT_READ, MAP_SHARED, file, 0))
        try #require(map != MAP_FAILED)
        defer { munmap(map, size) }
        var flags = [UInt8](repeating: 0, count: size / Int(DirectWriting.alignment) + 1)
        try #require(mincore(map, size, &flags) == 0)
        return flags.count { $0 & 1 == 1 }
    }
}
