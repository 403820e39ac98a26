import BlobEngine
public import PostgresFormats
public import RepoBase
import Repository
import Storage

/// An object of the log of which the beginning was read and verified: what it holds is known, and its files can be read.
///
/// Nothing is delivered that was not authenticated and whose identity was not recomputed.
public struct WALObjectReader: Sendable {
    public let description: WALObjectDescription
    private let frame: WALObjectFrame
    private let store: any Store
    private let keys: KeyRing
    private let hasher: ContentHasher
    /// The object's first bytes, as many as were read to open it.
    private let beginning: [UInt8]

    /// Most descriptions end within this many bytes; longer ones cost a second request.
    static let firstRead = 8 << 10

    /// Reads the beginning. Throws `.notFound`, or `.damaged` for an object that does not open, or that was put elsewhere.
    init(_ key: StoreKey, store: any Store, keys: KeyRing, hasher: ContentHasher, firstRead: Int = Self.firstRead) throws {
        (self.store, self.keys, self.hasher) = (store, keys, hasher)
        let object = "\(key)"
        var bytes = try Self.read(store, key, at: 0, count: firstRead)
        frame = try WALObjectFrame(Array(bytes.prefix(WALObjectFrame.length)), object: object)
        let end = WALObjectFrame.length + frame.descriptionLength
        if bytes.count < end, bytes.count == firstRead {
            bytes += try Self.read(store, key, at: UInt64(bytes.count), count: end - bytes.count)
        }
        guard bytes.count >= end else { throw RepoError.damaged(object, "it ends early") }
        let plain = try frame.openDescription(Array(bytes[WALObjectFrame.length..<end]), keys: keys, object: object)
        description = try WALObjectDescription(plain, object: object)
        beginning = bytes
        guard description.key == key else {
            throw RepoError.damaged(object, "it was stored as \(description.key), and moved here")
        }
    }

    private static func read(_ store: any Store, _ key: StoreKey, at offset: UInt64, count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try store.read(
                key, at: offset, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
        }
    }

    private var object: String { "\(description.key)" }
    private var piecesOffset: Int { WALObjectFrame.length + frame.descriptionLength }

    /// Bytes that the object has when it is whole.
    public var length: UInt64 { UInt64(piecesOffset + description.piecesLength) }

    /// The facts of every file that may have some, nil where none were stored.
    ///
    /// Throws `.wrongKey` for a writer key, and `.damaged` for facts that tell of other places than the file's.
    public func facts() throws(RepoError) -> [WALFacts?] {
        guard !description.sealedFacts.isEmpty else { return description.files.filter(\.hasFacts).map { _ in nil } }
        let cipher = AuthenticatedCipher(key: try frame.openDataKey(keys: keys, object: object))
        let names = description.files.filter(\.hasFacts).map(\.name)
        var facts: [WALFacts?] = []
        for (index, sealed) in description.sealedFacts.enumerated() {
            let nonce = WALObjectFrame.factsNonce(index)
            guard let plain = cipher.open(nonce: nonce, associated: WALObjectFrame.factsContext, sealed) else {
                throw .damaged(object, "its facts do not open")
            }
            let found = try WALFacts(plain, object: object)
            if let size = description.segmentSize, let segment = WALSegment(name: String(names[index].prefix(24)), size: size) {
                guard found.lies(in: segment, size: size) else { throw .damaged(object, "what it says of the log in \(names[index]) lies outside of it") }
            }
            facts.append(found)
        }
        return facts
    }

    /// The content of a file, given by its place in the description. Reads no other file of the object. Throws `.wrongKey` for a writer key.
    public func content(of number: Int, threads: Int = availableProcessors()) throws -> AlignedBuffer {
        let file = description.files[number]
        let dataKey = try frame.openDataKey(keys: keys, object: object)
        let (first, offset) = description.place(of: number)
        let sealed = try sealedBytes(at: piecesOffset + offset, count: file.sealedLength)
        let content = AlignedBuffer(capacity: file.length, isFilledAtOnce: true)
        content.count = file.length
        var places: [(sealed: Int, content: Int)] = []
        var place = (sealed: 0, content: 0)
        for piece in file.pieces {
            places.append(place)
            place = (place.sealed + piece.sealedLength, place.content + Int(piece.length))
        }
        let (object, starts) = (object, places)
        try ParallelWork.run(file.pieces.count, threads: threads, worker: { PieceOpener(dataKey: dataKey) }) { index, opener in
            let piece = file.pieces[index]
            try withExtendedLifetime((sealed, content)) {
                let bytes = sealed.bytes[starts[index].sealed..<starts[index].sealed + piece.sealedLength]
                try opener.open(
                    piece, ordinal: first + index, UnsafeRawBufferPointer(rebasing: bytes),
                    into: content.base + starts[index].content, object: object)
            }
        }
        guard withExtendedLifetime(content, { hasher.identity(content.bytes) }) == file.identity else {
            throw RepoError.damaged(object, "the content of \(file.name) is not what its description says")
        }
        return content
    }

    /// A range behind the description; what was read with the beginning is not fetched again.
    private func sealedBytes(at offset: Int, count: Int) throws -> AlignedBuffer {
        let buffer = AlignedBuffer(capacity: count, isFilledAtOnce: true)
        let known = min(max(0, beginning.count - offset), count)
        if known > 0 {
            beginning.withUnsafeBytes { buffer.base.copyMemory(from: $0.baseAddress! + offset, byteCount: known) }
        }
        buffer.count = known
        if known < count {
            let rest = UnsafeMutableRawBufferPointer(start: buffer.base + known, count: count - known)
            buffer.count += try store.read(description.key, at: UInt64(offset + known), into: rest)
        }
        guard buffer.count == count else { throw RepoError.damaged(object, "it ends early") }
        return buffer
    }
}

/// Opens and decodes pieces of one object. One for each thread.
private final class PieceOpener {
    private let cipher: AuthenticatedCipher
    private let coder = BlobCoder()
    private let opened = AlignedBuffer(capacity: WALObjectDescription.Piece.maximumLength)

    init(dataKey: SecretBytes) { cipher = AuthenticatedCipher(key: dataKey) }

    func open(
        _ piece: WALObjectDescription.Piece, ordinal: Int, _ sealed: UnsafeRawBufferPointer, into out: UnsafeMutableRawPointer,
        object: String
    ) throws(RepoError) {
        let associated = WALObjectFrame.pieceAssociated(ordinal: ordinal, length: piece.length)
        let target = piece.encoding == .plain ? out : opened.base
        let isGood = associated.withUnsafeBytes {
            cipher.open(nonce: .ordinal(UInt32(ordinal)), associated: $0, sealed: sealed, into: target)
        }
        guard isGood else { throw .damaged(object, "piece \(ordinal) of its content does not authenticate") }
        guard piece.encoding != .plain else { return }
        try coder.decode(
            UnsafeRawBufferPointer(start: opened.base, count: Int(piece.storedLength)), encoding: piece.encoding,
            rawLength: Int(piece.length), bases: [], into: out, object: object)
    }
}
