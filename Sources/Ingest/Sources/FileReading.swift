import RepoBase
import Repository

/// Reads a file's regions into a content, holes as holes.
enum FileReading {
    static func read(
        _ file: inout OpenedFile, into feed: ContentFeed, shape: ContentShape, size: UInt64
    ) throws {
        if shape == .pageAligned, file.allocatedSize < size {
            for region in try file.dataRegions() {
                if region.offset > feed.offset { feed.hole(region.offset - feed.offset) }
                let end = region.offset + region.length
                while feed.offset < end {
                    let limit = Int(min(UInt64(ContentFeed.segmentSize), end - feed.offset))
                    guard try take(&file, feed, limit) > 0 else { return }
                }
            }
            if feed.offset < size { feed.hole(size - feed.offset) }
            return
        }
        while feed.offset < size {
            let limit = Int(min(UInt64(ContentFeed.segmentSize), size - feed.offset))
            guard try take(&file, feed, limit) > 0 else { return }
        }
    }

    private static func take(_ file: inout OpenedFile, _ feed: ContentFeed, _ limit: Int) throws -> Int {
        let offset = feed.offset
        return try feed.read(atMost: limit) { try file.read(into: $0, at: offset) }
    }
}
