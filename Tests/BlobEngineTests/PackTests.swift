import RepoBase
import Testing

@testable import BlobEngine

@Suite("A pack")
struct PackTests {
    let fixture = PackFixture()
    let contents: [[UInt8]] = {
        var generator = GeneratedBytes(seed: 1)
        return [0, 1, 5, 16, 100, 100, 300, 1000].map { generator.noise($0) }
    }()

    @Test("is read as it was written")
    func roundTrip() throws {
        let (pack, bytes) = try fixture.pack(contents)
        #expect(pack.record.size == UInt64(bytes.count))
        #expect(pack.record.id == ObjectHasher.hash(bytes))
        #expect(
            Array(bytes[..<8]) == Array("repopack".utf8) && Array(bytes.suffix(8)) == Array("packrepo".utf8))
        let blobs = try fixture.directory(bytes)
        #expect(blobs == pack.blobs)
        let opener = try BlobOpener(seal: pack.record.seal, keys: fixture.keys)
        for (index, blob) in blobs.enumerated() {
            #expect(blob.ordinal == UInt32(index))
            #expect(try fixture.open(blob, in: bytes, opener) == contents[index])
        }
    }

    @Test("may be empty")
    func empty() throws {
        let (_, bytes) = try fixture.pack([])
        #expect(try fixture.directory(bytes) == [])
    }

    @Test("is not opened by a key that can only write")
    func writerKey() throws {
        let (pack, _) = try fixture.pack(contents)
        let error = #expect(throws: RepoError.self) {
            _ = try BlobOpener(seal: pack.record.seal, keys: fixture.writerKeys)
        }
        #expect(error?.code == .wrongKey)
        expectDamage("another epoch's key") {
            _ = try BlobOpener(seal: pack.record.seal, keys: PackFixture().keys)
        }
    }

    @Test("shows every flipped byte: of the directory and trailer at once, of a blob when it is opened")
    func flippedBytes() throws {
        let (pack, bytes) = try fixture.pack(contents)
        let end = Int(pack.blobs.last!.offset + pack.blobs.last!.storedLength) + 16
        // Padding between them means nothing, and the pack's name shows it.
        let directory = try PackTrailer(Array(bytes.suffix(PackTrailer.length)), packSize: UInt64(bytes.count), object: "a pack").directoryRange
        for position in Int(directory.lowerBound)..<bytes.count {
            var flipped = bytes
            flipped[position] ^= 1 << UInt8(position & 7)
            expectDamage("byte \(position)") { _ = try fixture.directory(flipped) }
        }
        let opener = try BlobOpener(seal: pack.record.seal, keys: fixture.keys)
        for position in 8..<end {
            var flipped = bytes
            flipped[position] ^= 1 << UInt8(position & 7)
            let blob = pack.blobs.last { Int($0.offset) <= position }!
            expectDamage("byte \(position)") { _ = try fixture.open(blob, in: flipped, opener) }
        }
    }

    @Test("is refused when it was cut off anywhere")
    func truncated() throws {
        let (_, bytes) = try fixture.pack(contents)
        for length in 0..<bytes.count {
            expectDamage("length \(length)") { _ = try fixture.directory(Array(bytes[..<length])) }
        }
        // Nor may the store lie about the size.
        for size in [0, 203, 204, bytes.count - 1, bytes.count + 1, 1 << 40] {
            expectDamage("size \(size)") {
                let trailer = try PackTrailer(
                    bytes.suffix(PackTrailer.length), packSize: UInt64(size), object: "a pack")
                let range = trailer.directoryRange
                #expect(range.upperBound <= UInt64(PackTrailer.maximumPackSize))
                // What a store has there: the same directory, if it is malicious.
                let actual = try PackTrailer(
                    bytes.suffix(PackTrailer.length), packSize: UInt64(bytes.count), object: "a pack"
                ).directoryRange
                _ = try trailer.openDirectory(
                    Array(bytes[Int(actual.lowerBound)..<Int(actual.upperBound)]), keys: fixture.keys,
                    verifyingKey: fixture.verifyingKey, object: "a pack")
            }
        }
    }

    @Test("of random bytes is refused")
    func randomBytes() {
        var generator = GeneratedBytes(seed: 2)
        for count in [0, 1, 195, 196, 204, 220, 1000] {
            var bytes = generator.noise(count)
            expectDamage("random") { _ = try fixture.directory(bytes) }
            guard count >= 8 else { continue }
            bytes.replaceSubrange((count - 8)..., with: Array("packrepo".utf8))
            expectDamage("random with magic") { _ = try fixture.directory(bytes) }
        }
    }

    @Test("is refused from a signer, of an epoch, that the repository does not know")
    func strangers() throws {
        let (_, bytes) = try fixture.pack(contents)
        let trailer = try PackTrailer(
            bytes.suffix(PackTrailer.length), packSize: UInt64(bytes.count), object: "a pack")
        let sealed = Array(
            bytes[Int(trailer.directoryRange.lowerBound)..<Int(trailer.directoryRange.upperBound)])
        let other = SigningKey.generate()
        for (what, keys, key) in [
            ("unknown signer", { fixture.keys($0) }, { _ in nil }),
            ("another's key", { fixture.keys($0) }, { _ in other.publicKey }),
            ("unknown epoch", { _ in nil }, { fixture.verifyingKey($0) }),
            ("another index key", { _ in PackFixture().keys }, { fixture.verifyingKey($0) }),
        ] as [(String, (UInt32) -> EpochKeys?, (KeyID) -> [UInt8]?)] {
            expectDamage(what) {
                _ = try trailer.openDirectory(sealed, keys: keys, verifyingKey: key, object: "a pack")
            }
        }
    }

    @Test("does not let two blobs of one size change places, nor come from another pack")
    func swapped() throws {
        let (pack, bytes) = try fixture.pack(contents)
        let (a, b) = (pack.blobs[4], pack.blobs[5])
        #expect(a.storedLength == b.storedLength)
        var swapped = bytes
        let count = Int(a.storedLength) + 16
        for index in 0..<count { swapped.swapAt(Int(a.offset) + index, Int(b.offset) + index) }
        let opener = try BlobOpener(seal: pack.record.seal, keys: fixture.keys)
        expectDamage("a") { _ = try fixture.open(a, in: swapped, opener) }
        expectDamage("b") { _ = try fixture.open(b, in: swapped, opener) }
        // Not even with an index that says so.
        var lying = a
        lying.offset = b.offset
        expectDamage("another's place") { _ = try fixture.open(lying, in: bytes, opener) }
        lying.ordinal = b.ordinal
        expectDamage("another's place and nonce") { _ = try fixture.open(lying, in: bytes, opener) }
        let (other, otherBytes) = try fixture.pack(contents)
        expectDamage("another pack") { _ = try fixture.open(other.blobs[4], in: otherBytes, opener) }
    }

    @Test("is padded to a size class, or as asked, and reads back", arguments: [0, 1 << 16])
    func padded(size: Int) throws {
        for blobs in [0, 1, 3, 40] {
            let buffer = AlignedBuffer(capacity: 1 << 20)
            let writer = PackWriter(buffer: buffer, epoch: fixture.keys)
            for number in 0..<blobs { try fixture.append([UInt8](repeating: 7, count: 101 * number), number: number + 3, to: writer) }
            let pack = try writer.finish(signer: fixture.signer, paddedTo: size)
            let bytes = withExtendedLifetime(buffer) { Array(buffer.bytes) }
            #expect(bytes.count == (bytes.count < size || size > 0 && blobs < 30 ? size : PackSize.padded(bytes.count)), "\(blobs) blobs")
            #expect(UInt64(bytes.count) == pack.record.size)
            #expect(try fixture.directory(bytes) == pack.blobs)
        }
    }

    @Test("is of a class that costs at most 12 %, and 3 % of what is large")
    func sizeClasses() {
        var classes: Set<Int> = []
        for count in 1..<300_000 {
            let padded = PackSize.padded(count)
            #expect(padded >= count && PackSize.padded(padded) == padded)
            #expect(Double(padded - count) <= Double(count) * (count < 65_536 ? 0.12 : 0.03125), "\(count)")
            if count >= 1024 { classes.insert(padded) }
        }
        #expect(classes.count < 240)
        for exact in [1 << 20, 8 << 20, 16 << 20, 34 << 20] { #expect(PackSize.padded(exact) == exact) }
    }

    @Test("has room for the directory of all that fitted")
    func fullPack() throws {
        let buffer = AlignedBuffer(capacity: 20_000)
        let writer = PackWriter(buffer: buffer, epoch: fixture.keys)
        var number = 3
        while writer.fits(encodedLength: number % 50) {
            try fixture.append(
                [UInt8](repeating: UInt8(number & 255), count: number % 50), number: number, to: writer)
            number += 1
        }
        #expect(writer.blobCount > 100)
        let pack = try writer.finish(signer: fixture.signer)
        let bytes = withExtendedLifetime(buffer) { Array(buffer.bytes) }
        #expect(try fixture.directory(bytes) == pack.blobs)
    }
}
