import Glibc
import Testing

@testable import Ingest

@Suite struct DirectoryListingTests {
    func listing(_ work: TemporaryDirectory, calls: FileSystemCalls = .kernel) -> DirectoryListing {
        let directory = work.open()
        defer { close(directory) }
        return DirectoryListing(reading: directory, path: work.path, calls: calls)
    }

    @Test func sortsByBytes() throws {
        let work = try TemporaryDirectory()
        let names: [[UInt8]] = [
            [1], [0x2e, 0x2e, 0x2e], Array("A".utf8), Array("abcdefgh".utf8), Array("abcdefgh\u{1}".utf8),
            Array("abcdefghi".utf8), Array("b".utf8), [0xc3], [0xff],
        ]
        for name in names.shuffled() { work.write(name, []) }
        let listing = listing(work)
        #expect((0..<listing.count).map { listing[$0] } == names)
        #expect(
            listing.contains("abcdefgh") && !listing.contains("abcdefg") && !listing.contains("abcdefghj"))
        #expect(listing.failure == nil)
    }

    @Test func hundredThousandNames() throws {
        let work = try TemporaryDirectory()
        let directory = work.open()
        defer { close(directory) }
        let count = 100_000
        for number in 0..<count {
            try #require(linkOrCreate(number, in: directory))
        }
        let listing = listing(work)
        #expect(listing.count == count)
        var last = listing[0]
        for index in 1..<count {
            let name = listing[index]
            if !last.lexicographicallyPrecedes(name) { Issue.record("\(index)") }
            last = name
        }
    }

    /// Names in no order; files are links to 20 inodes, which is quicker than making each.
    func linkOrCreate(_ number: Int, in directory: CInt) -> Bool {
        let name = { (number: Int) in "file-" + String(number &* 7_919 % 1_000_003, radix: 36) }
        if number < 20 || number % 60_000 < 20 {
            return close(openat(directory, name(number), O_WRONLY | O_CREAT, 0o644)) == 0
        }
        return linkat(directory, name(number / 60_000 * 60_000 + number % 20), directory, name(number), 0)
            == 0
    }

    @Test func keepsWhatWasReadBeforeAFailure() throws {
        let work = try TemporaryDirectory()
        for number in 0..<5_000 { work.write("name-\(number)", "") }
        let made = Counter()
        let calls = FileSystemCalls { call, _ in call == .getdents64 && made.next() == 1 ? EIO : 0 }
        let listing = listing(work, calls: calls)
        #expect(listing.count > 0 && listing.count < 5_000)
        #expect(listing.failure?.operation == .listDirectory && listing.failure?.path == work.path)
    }
}
