import BlobEngine
import Glibc
import RepoBase

/// What a writer key can read while it makes a snapshot: what it remembers of the one before. Lists that are looked at are kept for the next
/// one too, since those of files that have not changed are not made again.
struct RememberedBlobs: Sendable {
    let before: RememberedSnapshot?
    let memory: SnapshotMemory?

    /// Throws `.damaged` for what is not remembered, so that sources do as with a snapshot before that is damaged: they read again.
    func find(_ id: BlobID, _ type: BlobType) throws -> AlignedBuffer {
        guard let found = before?.find(id, type) else {
            throw RepoError(
                .damaged,
                "\(type) \(id) is not remembered on this machine, and a writer key cannot read the repository",
                advice: "Use a full key to read.")
        }
        if type == .list { withExtendedLifetime(found) { memory?.keep(id, type, found.bytes) } }
        return found
    }
}

/// The trees and lists of the snapshot that this machine made last of a source: what a writer key, which cannot read the repository, knows
/// of it (docs/adr/0014-what-a-writer-remembers.md).
///
/// A cache: it may be deleted at any time, and whatever it gives is verified by its id like what comes from the repository.
final class RememberedSnapshot: Sendable {
    let entry: SnapshotCatalog.Entry
    private let file: CInt
    /// Rows by type and id.
    private let directory: [UInt8]
    private let count: Int

    /// Nil where there is none, or none that is whole.
    init?(_ cacheDirectory: String, source: String, host: String) {
        let path = RememberedFile.path(cacheDirectory, source: source, host: host)
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        guard let found = try? Self.read(file, path), found.0.snapshot.source == source,
            found.0.snapshot.host == host
        else {
            close(file)
            return nil
        }
        self.file = file
        (entry, directory, count) = found
    }

    deinit { close(file) }

    private static func read(_ file: CInt, _ path: String) throws -> (SnapshotCatalog.Entry, [UInt8], Int) {
        var status = stat()
        guard fstat(file, &status) == 0 else { throw RepoError.damaged(path, "it does not read") }
        let size = Int(status.st_size)
        guard size >= RememberedFile.headerLength + RememberedFile.trailerLength else {
            throw RepoError.damaged(path, "it is too short")
        }
        var header = ByteReader(try bytes(file, 0, RememberedFile.headerLength, path), object: path)
        var trailer = ByteReader(
            try bytes(file, size - RememberedFile.trailerLength, RememberedFile.trailerLength, path),
            object: path)
        guard try header.raw(8).elementsEqual(RememberedFile.magic),
            try header.u32() == RememberedFile.version
        else {
            throw header.fail("it is of another kind or version")
        }
        let start = try trailer.u64()
        let count = Int(try trailer.u32())
        let headLength = Int(try trailer.u32())
        let hash = Array(try trailer.raw(32))
        let length = count * RememberedFile.rowLength + headLength
        guard try trailer.raw(8).elementsEqual(RememberedFile.closing), count <= RememberedFile.countLimit,
            headLength <= SnapshotCodec.byteLimit, start <= UInt64(size),
            Int(start) + length + RememberedFile.trailerLength == size
        else { throw trailer.fail("its parts do not fit together") }
        let rest = try bytes(file, Int(start), length, path)
        guard ObjectHasher.hash(rest).bytes == hash else {
            throw trailer.fail("its content does not match its checksum")
        }
        let rows = count * RememberedFile.rowLength
        var head = ByteReader(rest[rows...], object: path)
        let id = ObjectID(bytes: try head.raw(32))!
        let snapshot = try Snapshot(Array(try head.raw(head.remaining)), object: path)
        return (SnapshotCatalog.Entry(id: id, snapshot: snapshot), Array(rest[..<rows]), count)
    }

    private static func bytes(_ file: CInt, _ offset: Int, _ count: Int, _ path: String) throws -> [UInt8] {
        let bytes = [UInt8](unsafeUninitializedCapacity: count) {
            $1 = read(file, $0.baseAddress!, count, at: offset)
        }
        guard bytes.count == count else { throw RepoError.damaged(path, "it does not read") }
        return bytes
    }

    /// The bytes read, fewer than asked for at the end or after a failure.
    private static func read(_ file: CInt, _ space: UnsafeMutablePointer<UInt8>, _ count: Int, at offset: Int)
        -> Int
    {
        var done = 0
        while done < count {
            let got = pread(file, space + done, count - done, off_t(offset + done))
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { break }
            done += got
        }
        return done
    }

    /// A tree or list, not verified yet: whoever takes it recomputes its id. Nil when it is not remembered.
    func find(_ id: BlobID, _ type: BlobType) -> AlignedBuffer? {
        guard let place = place(of: id, type) else { return nil }
        let buffer = AlignedBuffer(capacity: place.length)
        buffer.count = Self.read(
            file, buffer.base.assumingMemoryBound(to: UInt8.self), place.length, at: place.offset)
        return buffer.count == place.length ? buffer : nil
    }

    private func place(of id: BlobID, _ type: BlobType) -> (offset: Int, length: Int)? {
        directory.withUnsafeBytes { rows in
            var low = 0
            var high = count
            while low < high {
                let middle = (low + high) / 2
                let row = rows.baseAddress! + middle * RememberedFile.rowLength
                let found = BlobID(loadingFrom: row + 1)
                let foundType = row.load(as: UInt8.self)
                if foundType == type.rawValue, found == id {
                    let offset = UInt64(littleEndian: row.loadUnaligned(fromByteOffset: 33, as: UInt64.self))
                    let length = UInt32(littleEndian: row.loadUnaligned(fromByteOffset: 41, as: UInt32.self))
                    return (Int(offset), Int(length))
                }
                if (foundType, found) < (type.rawValue, id) { low = middle + 1 } else { high = middle }
            }
            return nil
        }
    }
}
