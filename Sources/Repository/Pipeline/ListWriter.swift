import BlobEngine
import RepoBase

/// Stores the lists over a content's chunks (format.md, 8.2).
///
/// Lists are cut where an id says so, so that a change early in a long content leaves its later lists as they were.
struct ListWriter {
    static let minimumEntries = 512
    static let maximumEntries = 8192

    let sink: BlobSink
    let lane: BlobSink.Lane
    let previous: PreviousContent?

    /// The id of the top list.
    func write(_ chunks: [ContentList.Entry]) throws -> BlobID {
        var entries = chunks
        var level: UInt8 = 0
        while true {
            let lists = try writeLevel(entries, level)
            if lists.count == 1, let id = lists[0].id { return id }
            entries = lists
            level += 1
        }
    }

    private func writeLevel(_ entries: [ContentList.Entry], _ level: UInt8) throws -> [ContentList.Entry] {
        var lists: [ContentList.Entry] = []
        var start = 0
        var offset: UInt64 = 0
        let earlier = level == 0 ? previous.map(PreviousLists.init) : nil
        for end in 1...entries.count {
            let count = end - start
            let isCut = count >= Self.minimumEntries && (entries[end - 1].id?.word3 ?? 1) & 1023 == 0
            guard isCut || count == Self.maximumEntries || end == entries.count else { continue }
            let part = Array(entries[start..<end])
            let bytes = ContentList(level: level, entries: part).encode()
            let id = try bytes.withUnsafeBytes { bytes in
                try sink.store(.list, bytes, lane: lane) { earlier?.bases(for: part, at: offset) ?? [] }
            }
            let length = part.reduce(0) { $0 + $1.length }
            lists.append(ContentList.Entry(length: length, id: id))
            offset += length
            start = end
        }
        return lists
    }
}
