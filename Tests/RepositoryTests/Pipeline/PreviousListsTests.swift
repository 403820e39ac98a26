import BlobEngine
import RepoBase
import Testing

@testable import Repository

@Suite("Bases for lists")
struct PreviousListsTests {
    /// Three lists of 1,000, 600 and 300 chunks, as a dump of three tables might have.
    private let chunks = (0..<1900).map { number in
        ContentList.Entry(length: 100, id: Self.id(UInt64(number)), sketch: Self.sketch(number))
    }
    private let lists = (0..<3).map { Self.id(10_000 + UInt64($0)) }
    private let starts = [0, 1000, 1600]

    private var previous: PreviousLists {
        PreviousLists(
            PreviousContent(
                chunks: chunks.enumerated().map { .init(id: $1.id!, offset: UInt64($0) * 100) },
                lists: zip(lists, starts).map { .init(id: $0, start: $1) }, sketches: chunks.map(\.sketch)))
    }

    @Test("A list that is there again rests on itself, wherever its tables went")
    func place() {
        #expect(previous.bases(for: Array(chunks[1000..<1600]), at: 0) == [lists[1]])
        #expect(previous.bases(for: Array(chunks[0..<1000]), at: 90_000) == [lists[0]])
    }

    @Test("A list made of parts of several rests on all of them, the largest last")
    func parts() {
        let mixed = Array(chunks[1700..<1900] + chunks[1000..<1600] + chunks[0..<100])
        #expect(previous.bases(for: mixed, at: 0) == [lists[0], lists[2], lists[1]])
    }

    @Test("Chunks that have all changed are recognised by their sketches")
    func changed() {
        let changed = (1650..<1900).map { number in
            ContentList.Entry(length: 100, id: Self.id(50_000 + UInt64(number)), sketch: Self.sketch(number, changed: 9))
        }
        #expect(previous.bases(for: changed, at: 0) == [lists[2]])
    }

    @Test("Without anything in common, and without sketches, it is the list at the same place")
    func nothingInCommon() {
        let other = (0..<50).map { ContentList.Entry(length: 100, id: Self.id(70_000 + UInt64($0))) }
        #expect(previous.bases(for: other, at: 120_000) == [lists[1]])
        #expect(previous.bases(for: other, at: 5_000_000) == [lists[2]])
    }

    private static func id(_ number: UInt64) -> BlobID {
        BlobID(words: number &* 0x9E37_79B9_7F4A_7C15, number, ~number, 7)
    }

    private static func sketch(_ number: Int, changed: Int = 0) -> Sketch {
        Sketch((0..<Sketch.valueCount).map { UInt32(number * 1000 + $0 * 7 + ($0 < changed ? 1 : 3)) }.sorted())
    }
}
