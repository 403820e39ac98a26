public import RepoBase

/// Goes through an archive of pg_dump's custom format as it comes: its table of contents first, then each block of rows, which are counted.
///
/// Costs one look at each byte. Holds the table of contents alone.
public struct DumpScan {
    /// Nil until as much of the archive was seen.
    public private(set) var contents: DumpContents?
    /// Rows of each finished block of an uncompressed archive, by the entry's id. Blocks of large objects are not among them.
    public private(set) var rows: [Int32: UInt64] = [:]

    private let object: String
    private var beginning: [UInt8] = []
    /// Where reading the beginning is tried again: at twice the length, so that it costs twice at most.
    private var nextTrial = 1
    private var state = State.block
    private var field: [UInt8] = []
    private var lines: UInt64 = 0
    private var block: (id: Int32, isObjects: Bool) = (0, false)

    private enum State: Hashable {
        /// A block's kind and id follow.
        case block
        /// In a block: a piece's length follows.
        case length
        /// In a piece, so many bytes before its end.
        case piece(Int)
        /// In a block of large objects: the oid of the next one.
        case largeObject
    }

    /// - Parameter object: what errors call it.
    public init(object: String) { self.object = object }

    /// Throws `.damaged` for what is no such archive, `.usage` for one of an unknown version.
    public mutating func push(_ bytes: UnsafeRawBufferPointer) throws(RepoError) {
        guard let contents else {
            beginning += bytes
            guard beginning.count >= nextTrial else { return }
            nextTrial = beginning.count * 2
            guard let found = try DumpContents(beginning[...], object: object) else { return }
            self.contents = found
            let rest = beginning[found.byteCount...]
            beginning = []
            let outcome = rest.withUnsafeBytes { bytes in
                Result { () throws(RepoError) in try scan(bytes, found.layout) }
            }
            try outcome.get()
            return
        }
        try scan(bytes, contents.layout)
    }

    /// Throws `.damaged` unless the archive ended between two blocks and all rows that it announces were there.
    public mutating func finish() throws(RepoError) {
        if contents == nil, !beginning.isEmpty {
            nextTrial = 0
            try push(UnsafeRawBufferPointer(start: nil, count: 0))
        }
        guard let contents, state == .block, field.isEmpty else { throw .damaged(object, "it ends early") }
        for entry in contents.entries where entry.hasData && rows[entry.id] == nil && entry.kind != "BLOBS" {
            throw .damaged(object, "the rows of \(entry.name) are not in it")
        }
    }

    private mutating func scan(_ bytes: UnsafeRawBufferPointer, _ layout: DumpLayout) throws(RepoError) {
        var at = 0
        while at < bytes.count {
            if case .piece(let left) = state {
                let count = min(left, bytes.count - at)
                lines += Self.lineEnds(UnsafeRawBufferPointer(rebasing: bytes[at..<at + count]))
                at += count
                state = left == count ? .length : .piece(left - count)
                continue
            }
            let wanted = 1 + layout.integerSize + (state == .block ? 1 : 0)
            let count = min(wanted - field.count, bytes.count - at)
            field += bytes[at..<at + count]
            at += count
            guard field.count == wanted else { return }
            try take(layout)
            field.removeAll(keepingCapacity: true)
        }
    }

    /// A whole field.
    private mutating func take(_ layout: DumpLayout) throws(RepoError) {
        var reader = DumpFieldReader(field[...], object: object)
        reader.layout = layout
        do throws(DumpFieldReader.Failure) {
            switch state {
            case .block:
                // BLK_DATA and BLK_BLOBS of pg_backup_custom.c.
                let kind = try reader.byte()
                guard kind == 1 || kind == 3 else { throw DumpFieldReader.Failure.damaged("a block is of kind \(kind)") }
                block = (try reader.integer(), kind == 3)
                lines = 0
                state = kind == 3 ? .largeObject : .length
            case .length:
                let length = try reader.integer()
                guard length >= 0 else { throw DumpFieldReader.Failure.damaged("a piece has \(length) bytes") }
                if length > 0 { state = .piece(Int(length)) } else { endBlock() }
            case .largeObject:
                if try reader.integer() == 0 { state = .block } else { state = .length }
            case .piece: break
            }
        } catch {
            if case .damaged(let why) = error { throw .damaged(object, why) }
            throw .damaged(object, "a field is cut off")
        }
    }

    private mutating func endBlock() {
        guard !block.isObjects else {
            state = .largeObject
            return
        }
        // Each row is a line, and three more end the copy: `\.` and two empty ones (dumpTableData_copy, pg_dump.c).
        rows[block.id] = lines >= 3 ? lines - 3 : 0
        state = .block
    }

    private static func lineEnds(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var count: UInt64 = 0
        for byte in bytes where byte == 0x0A { count &+= 1 }
        return count
    }
}
