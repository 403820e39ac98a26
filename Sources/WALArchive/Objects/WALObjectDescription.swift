import BlobEngine
public import PostgresFormats
public import RepoBase
public import Storage

/// What an object of the log says of itself: which files it holds, and enough to tell whether a file is there with the same content
/// (format.md, 12.2). Any key of the repository reads it.
public struct WALObjectDescription: Hashable, Sendable {
    /// Where it was put. An object that is found elsewhere was moved or swapped.
    public var key: StoreKey
    /// Nil where it is not known, as for histories.
    public var segmentSize: WALSegmentSize?
    /// In the order of their names.
    public var files: [StoredFile]
    /// When it was stored, by that machine's clock.
    public var stored: FileTime
    public var host: String
    /// The sealed facts of its files of the log, in their order; only full keys open them.
    var sealedFacts: [[UInt8]] = []

    /// A file in an object.
    public struct StoredFile: Hashable, Sendable {
        /// As PostgreSQL names it; of what was received, the segment's name.
        public var name: String
        public var identity: Hash256
        public var pieces: [Piece]

        /// Bytes.
        public var length: Int { pieces.reduce(0) { $0 + Int($1.length) } }
        /// Bytes in the object.
        var sealedLength: Int { pieces.reduce(0) { $0 + $1.sealedLength } }
        /// Whether facts are kept for it: for all but histories and labels.
        var hasFacts: Bool {
            switch ArchivedFile(name: name) {
            case .segment, .partial: true
            case .history, .backupHistory, nil: false
            }
        }
    }

    /// A part of a file, encoded and sealed by itself.
    public struct Piece: Hashable, Sendable {
        var encoding: BlobEncoding
        /// Bytes of content, at most `maximumLength`.
        var length: UInt32
        /// Bytes encoded, without the tag.
        var storedLength: UInt32

        static let maximumLength = 4 << 20

        var sealedLength: Int { Int(storedLength) + AuthenticatedCipher.tagByteCount }
    }

    /// Bytes of content that one file may have, and one object: 1 GiB, the largest segment.
    public static let maximumLength = 1 << 30
    /// Sealed.
    static let maximumDescriptionLength = 1 << 20

    /// The number of the first piece of a file, and the bytes of pieces before it.
    func place(of file: Int) -> (ordinal: Int, offset: Int) {
        files[..<file].reduce((0, 0)) { ($0.0 + $1.pieces.count, $0.1 + $1.sealedLength) }
    }

    /// All bytes behind the description.
    var piecesLength: Int { files.reduce(0) { $0 + $1.sealedLength } }

    /// The place of a file among those that have facts.
    func factsIndex(of file: Int) -> Int? {
        guard files[file].hasFacts else { return nil }
        return files[..<file].count { $0.hasFacts }
    }
}

extension WALObjectDescription {
    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.field(1) { $0.raw(key.description.utf8) }
        writer.field(2) { $0.varint(UInt64(segmentSize?.bytes ?? 0)) }
        for file in files {
            writer.field(3) {
                $0.text(file.name)
                $0.hash(file.identity)
                $0.varint(file.length)
                $0.varint(file.pieces.count)
                for piece in file.pieces {
                    $0.u8(piece.encoding.rawValue)
                    $0.varint(UInt64(piece.length))
                    $0.varint(UInt64(piece.storedLength))
                }
            }
        }
        for facts in sealedFacts { writer.field(16) { $0.raw(facts) } }
        writer.field(17) {
            $0.recordedMoment(stored)
        }
        writer.field(18) { $0.raw(host.utf8) }
        return writer.bytes
    }

    /// Throws `.damaged`, naming `object`.
    public init(_ bytes: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        var required: (key: StoreKey?, size: Int?) = (nil, nil)
        var files: [StoredFile] = []
        var facts: [[UInt8]] = []
        var stored = FileTime(seconds: 0, nanoseconds: 0)
        var host = ""
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1:
                required.key = StoreKey(checking: String(decoding: try field.raw(field.remaining), as: UTF8.self))
            case 2: required.size = try field.varint(atMost: 1 << 30, "a segment size")
            case 3:
                guard files.count < WALObjectName.batchLimit else { throw field.fail("it lists too many files") }
                files.append(try StoredFile(&field))
            case 16:
                guard facts.count < WALObjectName.batchLimit else { throw field.fail("it lists too many facts") }
                facts.append(Array(try field.raw(field.remaining)))
            case 17: stored = try field.recordedMoment()
            case 18: host = String(decoding: try field.raw(field.remaining), as: UTF8.self)
            default: return false
            }
            return true
        }
        guard let key = required.key, let size = required.size, !files.isEmpty else {
            throw reader.fail("its description is incomplete")
        }
        guard files.count == 1 || zip(files, files.dropFirst()).allSatisfy({ $0.name < $1.name }) else {
            throw reader.fail("its files are out of order")
        }
        guard files.reduce(0, { $0 + $1.length }) <= Self.maximumLength else { throw reader.fail("it claims more than 1 GiB") }
        guard facts.isEmpty || facts.count == files.count(where: \.hasFacts) else {
            throw reader.fail("its facts do not fit its files")
        }
        let segmentSize = WALSegmentSize(bytes: size)
        guard size == 0 || segmentSize != nil else { throw reader.fail("it has a segment size that PostgreSQL does not have") }
        self.init(
            key: key, segmentSize: segmentSize, files: files, stored: stored, host: host, sealedFacts: facts)
    }
}

extension WALObjectDescription.StoredFile {
    fileprivate init(_ reader: inout ByteReader) throws(RepoError) {
        let name = try reader.text(atMost: 255)
        let identity = try reader.hash()
        let length = try reader.varint(atMost: WALObjectDescription.maximumLength, "a file's length")
        var pieces: [WALObjectDescription.Piece] = []
        var total = 0
        for _ in 0..<(try reader.count(ofAtLeast: 3)) {
            guard let encoding = BlobEncoding(rawValue: try reader.u8()), encoding != .delta else {
                throw reader.fail("a piece is encoded in an unknown way")
            }
            let limit = WALObjectDescription.Piece.maximumLength
            let raw = try reader.varint(atMost: limit, "a piece's length")
            let stored = try reader.varint(atMost: limit, "a piece's stored length")
            guard raw > 0, stored > 0, encoding == .plain ? stored == raw : stored < raw else {
                throw reader.fail("a piece's lengths do not fit its encoding")
            }
            total += raw
            pieces.append(.init(encoding: encoding, length: UInt32(raw), storedLength: UInt32(stored)))
        }
        guard total == length else { throw reader.fail("its pieces do not make up the file") }
        self.init(name: name, identity: identity, pieces: pieces)
    }
}
