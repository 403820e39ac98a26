import BlobEngine
import Glibc
import RepoBase
import Testing

extension GeneratedBytes {
    mutating func hash() -> Hash256 { Hash256(words: next(), next(), next(), next()) }
}

/// Keys and packs for tests of packs and of the index.
struct PackFixture {
    let keys: EpochKeys
    let signer = SigningKey.generate()

    init(epoch: UInt32 = 1) {
        let agreement = AgreementKey.generate()
        keys = EpochKeys(
            epoch: epoch, publicKey: agreement.publicKey, indexKey: SecretBytes(RandomBytes.make(32)),
            agreement: agreement)
    }

    var writerKeys: EpochKeys {
        EpochKeys(epoch: keys.epoch, publicKey: keys.publicKey, indexKey: keys.indexKey, agreement: nil)
    }

    func keys(_ epoch: UInt32) -> EpochKeys? { epoch == keys.epoch ? keys : nil }

    func verifyingKey(_ id: KeyID) -> [UInt8]? { id == signer.id ? signer.publicKey : nil }

    /// A pack of these encoded blobs, one of each encoding in turn, and its bytes.
    func pack(_ contents: [[UInt8]], capacity: Int = 1 << 16) throws -> (pack: FinishedPack, bytes: [UInt8]) {
        let buffer = AlignedBuffer(capacity: capacity)
        let writer = PackWriter(buffer: buffer, epoch: writerKeys)
        for (index, content) in contents.enumerated() { try append(content, number: index, to: writer) }
        let finished = try writer.finish(signer: signer)
        return withExtendedLifetime(buffer) { (finished, Array(buffer.bytes)) }
    }

    @discardableResult
    func append(_ content: [UInt8], number: Int, to writer: PackWriter) throws -> BlobRecord {
        let encoding = BlobEncoding.allCases[number % 3]
        var bases = BlobBases()
        if encoding == .delta { for base in 0..<(1 + number % 4) { bases.append(UInt64(base) << 40 | 7) } }
        return try content.withUnsafeBytes { encoded in
            try writer.append(
                id: ObjectHasher.hash(content), type: BlobType.allCases[number / 3 % 3], encoding: encoding,
                rawLength: UInt32(encoding == .plain ? content.count : content.count * 2), bases: bases,
                encoded: encoded)
        }
    }

    /// As a reader does it: from the end of the object.
    func directory(_ bytes: [UInt8], size: Int? = nil) throws(RepoError) -> [BlobRecord] {
        let trailer = try PackTrailer(
            bytes.suffix(PackTrailer.length), packSize: UInt64(size ?? bytes.count), object: "a pack")
        let range = trailer.directoryRange
        return try trailer.openDirectory(
            Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)]), keys: keys,
            verifyingKey: verifyingKey,
            object: "a pack")
    }

    func open(_ record: BlobRecord, in bytes: [UInt8], _ opener: BlobOpener) throws -> [UInt8] {
        let start = Int(record.offset)
        let sealed = Array(bytes[start..<start + Int(record.storedLength) + 16])
        var out = [UInt8](repeating: 0, count: Int(record.storedLength) + 1)
        try sealed.withUnsafeBytes { sealed in
            try out.withUnsafeMutableBytes {
                try opener.open(record, sealed: sealed, into: $0.baseAddress!, object: "a blob")
            }
        }
        return out.dropLast()
    }
}

/// Expects `.damaged`, or nothing at all: what bytes that nobody vouches for may lead to.
func expectDamageOrSuccess(
    _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
    } catch let error as RepoError {
        #expect(error.code == .damaged, "\(what): \(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(what): \(error)", sourceLocation: sourceLocation)
    }
}

func expectDamage(
    _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    let error = #expect(throws: RepoError.self, "\(what)", sourceLocation: sourceLocation) { try body() }
    #expect(error?.code == .damaged, "\(what)", sourceLocation: sourceLocation)
}

/// A folder that goes away with the object.
final class TemporaryFolder {
    let path: String

    init() {
        var template = Array("/tmp/blobengine-tests-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)!) }
    }

    deinit {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink("\(path)/\(name)")
            }
            closedir(directory)
        }
        rmdir(path)
    }

    func read(_ name: String) -> [UInt8] {
        let file = open("\(path)/\(name)", O_RDONLY)
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 22)
        let count = Glibc.read(file, &bytes, bytes.count)
        return Array(bytes[..<max(0, count)])
    }

    func write(_ name: String, _ bytes: [UInt8]) {
        // A new file: ext4 writes a truncated one through to the disk when it is closed.
        unlink("\(path)/\(name)")
        let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(file) }
        precondition(Glibc.write(file, bytes, bytes.count) == bytes.count)
    }
}
