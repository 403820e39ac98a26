import BlobEngine
public import RepoBase

/// Goes through the lists of a content, level by level, holding one list of each level at a time.
public enum ContentWalk {
    /// Calls `body` with each list of level 0, its id, and the offset of its first byte. False ends the walk.
    public static func lists(
        of content: Content, _ reader: BlobReader, _ body: (BlobID, ContentList, UInt64) throws -> Bool
    ) throws {
        guard case .list(let id) = content else { return }
        var offset: UInt64 = 0
        _ = try walk(id, level: nil, reader, &offset, body)
    }

    /// Calls `body` with each chunk or hole of a content and its offset. False ends the walk.
    public static func entries(
        of content: Content, size: UInt64, _ reader: BlobReader,
        _ body: (ContentList.Entry, UInt64) throws -> Bool
    ) throws {
        switch content {
        case .empty: return
        case .chunk(let id): _ = try body(ContentList.Entry(length: size, id: id), 0)
        case .list:
            var total: UInt64 = 0
            var isEnded = false
            try lists(of: content, reader) { _, list, start in
                var at = start
                for entry in list.entries {
                    guard try body(entry, at) else {
                        isEnded = true
                        return false
                    }
                    at += entry.length
                }
                total = at
                return true
            }
            guard isEnded || total == size else {
                throw RepoError.damaged("a list", "its chunks make \(total) bytes of a file of \(size)")
            }
        }
    }

    private static func walk(
        _ id: BlobID, level: UInt8?, _ reader: BlobReader, _ offset: inout UInt64,
        _ body: (BlobID, ContentList, UInt64) throws -> Bool
    ) throws -> Bool {
        let list = try ContentList.decode(try reader.bytes(id, .list), object: "list \(id)")
        if let level, list.level != level { throw RepoError.damaged("list \(id)", "it has the wrong level") }
        if list.level == 0 {
            let start = offset
            for entry in list.entries {
                let (sum, overflow) = offset.addingReportingOverflow(entry.length)
                guard !overflow else { throw RepoError.damaged("list \(id)", "it is too long") }
                offset = sum
            }
            return try body(id, list, start)
        }
        for entry in list.entries {
            let before = offset
            guard let child = entry.id else { throw RepoError.damaged("list \(id)", "it has holes above level 0") }
            guard try walk(child, level: list.level - 1, reader, &offset, body) else { return false }
            guard offset - before == entry.length else {
                throw RepoError.damaged("list \(child)", "it does not have the length that its parent says")
            }
        }
        return true
    }
}
