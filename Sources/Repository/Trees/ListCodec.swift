public import BlobEngine
public import RepoBase

/// A list blob: the chunks of a long content in order, or the lists that hold them (format.md, 8.2).
public struct ContentList: Hashable, Sendable {
    /// 0: entries are chunks and holes; above: entries are lists of the level below.
    public var level: UInt8
    public var entries: [Entry]

    /// A stretch of content.
    public struct Entry: Hashable, Sendable {
        /// Bytes of content.
        public var length: UInt64
        /// Nil for a hole: zeros that the source did not store.
        public var id: BlobID?
        /// Empty where none was taken; only chunks have one.
        public var sketch: Sketch

        public init(length: UInt64, id: BlobID?, sketch: Sketch = .empty) {
            self.length = length
            self.id = id
            self.sketch = sketch
        }
    }

    public init(level: UInt8, entries: [Entry]) {
        self.level = level
        self.entries = entries
    }

    /// Most entries of one list, on reading; writers make smaller ones.
    static let maximumEntries = 1 << 20
    static let maximumLevel = 16

    public func encode() -> [UInt8] {
        let withSketches = level == 0 && entries.contains { !$0.sketch.isEmpty }
        var writer = ByteWriter(capacity: entries.count * 56)
        writer.u8(1)
        writer.u8(level)
        writer.u8(withSketches ? 1 : 0)
        writer.varint(entries.count)
        for entry in entries { writer.varint(entry.length) }
        let holes = entries.indices.filter { entries[$0].id == nil }
        writer.varint(holes.count)
        var last = 0
        for hole in holes {
            writer.varint(hole - last)
            last = hole
        }
        for entry in entries { if let id = entry.id { writer.hash(id) } }
        if withSketches {
            for entry in entries where entry.id != nil {
                for rank in 0..<Sketch.valueCount { writer.u32(entry.sketch[rank]) }
            }
        }
        return writer.bytes
    }

    public static func decode(_ bytes: [UInt8], object: String) throws(RepoError) -> ContentList {
        var reader = ByteReader(bytes, object: object)
        guard try reader.u8() == 1 else { throw reader.fail("its version is unknown") }
        let level = try reader.u8()
        guard level <= maximumLevel else { throw reader.fail("its level is too high") }
        let flags = try reader.u8()
        guard flags <= (level == 0 ? 1 : 0) else { throw reader.fail("it has unknown flags") }
        let count = try reader.count(ofAtLeast: 1, atMost: maximumEntries)
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        var total: UInt64 = 0
        for _ in 0..<count {
            let length = try reader.varint()
            let (sum, overflow) = total.addingReportingOverflow(length)
            guard length > 0, !overflow, sum <= UInt64(Int64.max) else {
                throw reader.fail("a length in it is not possible")
            }
            total = sum
            entries.append(Entry(length: length, id: .init(words: 0, 0, 0, 0)))
        }
        let holes = try reader.count(ofAtLeast: 1)
        guard holes == 0 || level == 0 else { throw reader.fail("it has holes above level 0") }
        var position = 0
        for index in 0..<holes {
            let step = try reader.varint(atMost: count, "a hole's position")
            guard index == 0 || step > 0 else { throw reader.fail("its holes are out of order") }
            position += step
            guard position < count else { throw reader.fail("a hole is beyond its end") }
            entries[position].id = nil
        }
        for index in 0..<count where entries[index].id != nil { entries[index].id = try reader.hash() }
        if flags == 1 {
            for index in 0..<count where entries[index].id != nil {
                let bytes = try reader.raw(Sketch.byteCount)
                let sketch = bytes.withUnsafeBytes { Sketch(loadingFrom: $0.baseAddress!) }
                // One form for each list: a sketch without its lowest value is none.
                entries[index].sketch = sketch.isEmpty ? .empty : sketch
            }
        }
        try reader.expectEnd()
        return ContentList(level: level, entries: entries)
    }
}
