import BlobEngine
import RepoBase
import Testing

/// Arrays in place of pointers.
extension BlobCoder {
    func encode(_ raw: [UInt8], bases: [[UInt8]] = []) throws -> (encoding: BlobEncoding, bytes: [UInt8]) {
        var out = [UInt8](repeating: 0, count: raw.count)
        let result = try raw.withUnsafeBytes { raw in
            try Self.withPointers(bases) { bases in
                try out.withUnsafeMutableBytes { try encode(raw, bases: bases, into: $0) }
            }
        }
        return (result.encoding, result.encoding == .plain ? raw : Array(out.prefix(result.count)))
    }

    func decode(
        _ encoded: [UInt8], _ encoding: BlobEncoding, rawLength: Int, bases: [[UInt8]] = []
    ) throws -> [UInt8] {
        // Guards behind the end show a write beyond it.
        var out = [UInt8](repeating: 0xAB, count: max(rawLength, 0) + 64)
        try encoded.withUnsafeBytes { encoded in
            try Self.withPointers(bases) { bases in
                try out.withUnsafeMutableBytes {
                    try decode(
                        encoded, encoding: encoding, rawLength: rawLength, bases: bases,
                        into: $0.baseAddress!, object: "blob 00")
                }
            }
        }
        #expect(out.suffix(64).allSatisfy { $0 == 0xAB })
        return Array(out.prefix(rawLength))
    }

    private static func withPointers<Result>(
        _ arrays: [[UInt8]], _ pointers: [UnsafeRawBufferPointer] = [],
        _ body: ([UnsafeRawBufferPointer]) throws -> Result
    ) rethrows -> Result {
        guard let first = arrays.first else { return try body(pointers) }
        return try first.withUnsafeBytes {
            try withPointers(Array(arrays.dropFirst()), pointers + [$0], body)
        }
    }
}

@Suite struct BlobCoderTests {
    @Test(arguments: [0, 1, 2, 10, 64, 1000, 70_000, 400_000, 3_000_000], [1, 3, 19] as [Int32])
    func everyContentComesBack(length: Int, level: Int32) throws {
        if level == 19 && length > 400_000 { return }
        let coder = BlobCoder(level: level)
        var random = GeneratedBytes(seed: UInt64(length))
        for raw in [random.rows(length), random.noise(length), [UInt8](repeating: 0, count: length)] {
            let (encoding, bytes) = try coder.encode(raw)
            #expect(try coder.decode(bytes, encoding, rawLength: length) == raw)
        }
    }

    @Test(arguments: [1, 2, 5, 10, 19] as [Int32])
    func incompressibleDataStaysPlain(level: Int32) throws {
        var random = GeneratedBytes(seed: 31)
        for length in [5, 500, 100_000, 300_000] {
            #expect(try BlobCoder(level: level).encode(random.noise(length)).encoding == .plain)
        }
    }

    @Test(arguments: [1, 2, 5, 19] as [Int32])
    func rowsAreCompressed(level: Int32) throws {
        var random = GeneratedBytes(seed: 32)
        let (encoding, bytes) = try BlobCoder(level: level).encode(random.rows(300_000))
        #expect(encoding == .zstd)
        #expect(bytes.count < 120_000)
    }

    /// Rows of numbers between zeros, as in a page: matches are short there.
    @Test func shortMatchesOfPagesAreFound() throws {
        var random = GeneratedBytes(seed: 34)
        let words = (0..<300).map { _ in random.noise(4) }
        var raw: [UInt8] = []
        while raw.count < 260_000 { raw += [0] + words[Int(random.next() % 300)] + random.noise(2) }
        let (encoding, bytes) = try BlobCoder().encode(raw)
        #expect(encoding == .zstd)
        #expect(bytes.count < raw.count * 7 / 10)
    }

    /// Samples that look hopeless must not cost what the rest would save.
    @Test func aCompressibleRestIsFoundAmongNoise() throws {
        var random = GeneratedBytes(seed: 33)
        var raw = random.noise(300_000)
        for index in 20_000..<90_000 { raw[index] = 7 }
        let (encoding, bytes) = try BlobCoder(level: 9).encode(raw)
        #expect(encoding == .zstd)
        #expect(bytes.count < 235_000)
    }

    @Test(arguments: 1...8, [1, 3, 12] as [Int32])
    func aDeltaTakesWhatItNeedsFromEachBase(count: Int, level: Int32) throws {
        let coder = BlobCoder(level: level)
        var random = GeneratedBytes(seed: UInt64(count))
        let bases = (0..<count).map { _ in random.noise(150_000) }
        var raw = Array(bases.flatMap { $0.suffix(120_000) }.prefix(700_000))
        for place in stride(from: 1000, to: raw.count, by: 10_000) { raw[place] ^= 0xFF }
        let (encoding, bytes) = try coder.encode(raw, bases: bases)
        #expect(encoding == .delta)
        #expect(bytes.count < raw.count / 100)
        #expect(try coder.decode(bytes, encoding, rawLength: raw.count, bases: bases) == raw)
    }

    @Test func aDeltaThatDoesNotPayIsNotMade() throws {
        let coder = BlobCoder()
        var random = GeneratedBytes(seed: 41)
        let base = random.noise(200_000)
        #expect(try coder.encode(random.rows(200_000), bases: [base]).encoding == .zstd)
        #expect(try coder.encode(random.noise(200_000), bases: [base]).encoding == .plain)
        // Nine tenths new noise: the base saves too little.
        let mixed = random.noise(180_000) + base[..<20_000]
        let (encoding, bytes) = try coder.encode(Array(mixed), bases: [base])
        #expect(
            try coder.decode(bytes, encoding, rawLength: 200_000, bases: encoding == .delta ? [base] : [])
                == Array(mixed))
        #expect(try coder.encode(random.rows(1000), bases: [[]]).encoding == .zstd)
    }

    /// Bytes decide nothing here: the blob's id must.
    @Test func aWrongBaseYieldsAnErrorOrWrongBytes() throws {
        let coder = BlobCoder()
        var random = GeneratedBytes(seed: 42)
        let base = random.noise(200_000)
        var raw = base
        raw[77] ^= 1
        let (encoding, bytes) = try coder.encode(raw, bases: [base])
        #expect(encoding == .delta)
        let wrong = random.noise(200_000)
        #expect((try? coder.decode(bytes, .delta, rawLength: raw.count, bases: [wrong])) != raw)
        #expect((try? coder.decode(bytes, .delta, rawLength: raw.count, bases: [[1, 2, 3]])) != raw)
        // The coder is sound afterwards.
        #expect(try coder.decode(bytes, .delta, rawLength: raw.count, bases: [base]) == raw)
    }

    @Test func oneCoderServesAnyMixOfSizes() throws {
        let coder = BlobCoder()
        var random = GeneratedBytes(seed: 43)
        for _ in 0..<60 {
            let base = random.rows(Int.random(in: 0...300_000, using: &random))
            let raw = Array(base.suffix(Int.random(in: 0...200_000, using: &random))) + random.rows(100)
            let bases = Bool.random(using: &random) ? [base] : []
            let (encoding, bytes) = try coder.encode(raw, bases: bases)
            let needed = encoding == .delta ? bases : []
            #expect(try coder.decode(bytes, encoding, rawLength: raw.count, bases: needed) == raw)
        }
    }
}

@Suite struct BlobCoderHostileFrameTests {
    let coder = BlobCoder()
    let raw: [UInt8]
    let frame: [UInt8]

    init() throws {
        var random = GeneratedBytes(seed: 51)
        raw = random.rows(100_000)
        frame = try coder.encode(raw).bytes
    }

    /// What a decoder must refuse with an error that names the object.
    func expectDamaged(_ bytes: [UInt8], _ encoding: BlobEncoding = .zstd, length: Int, bases: [[UInt8]] = [])
    {
        let error = #expect(throws: RepoError.self) {
            _ = try coder.decode(bytes, encoding, rawLength: length, bases: bases)
        }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("blob 00") == true)
    }

    @Test func anotherLengthThanRecordedIsRefused() {
        expectDamaged(frame, length: raw.count - 1)
        expectDamaged(frame, length: raw.count + 1)
        expectDamaged(frame, length: 0)
        expectDamaged(raw, .plain, length: raw.count - 1)
        expectDamaged(frame, length: 17 << 20)
        expectDamaged(frame, length: -1)
    }

    @Test func everyTruncationIsRefused() {
        for length in stride(from: 0, to: frame.count, by: 97) {
            expectDamaged(Array(frame.prefix(length)), length: raw.count)
        }
        expectDamaged(Array(frame.dropLast()), length: raw.count)
    }

    @Test func bytesBehindTheFrameAreRefused() {
        expectDamaged(frame + [0], length: raw.count)
        expectDamaged(frame + frame, length: raw.count)
        // A skippable frame (RFC 8878, 3.1.2), before and behind.
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 9]
        expectDamaged(frame + skippable, length: raw.count)
        expectDamaged(skippable + frame, length: raw.count)
    }

    /// Frame headers by RFC 8878, 3.1.1.1: descriptor, window descriptor, content size.
    @Test func bombsAreRefusedByTheirHeader() {
        let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
        // One block of run-length encoding: 128 KiB from 4 bytes, many times.
        let block: [UInt8] = [0x02, 0x00, 0x10, 0x41]
        let bomb = Array(repeatElement(block, count: 2000).joined())
        // No content size, window 2 GiB.
        expectDamaged(magic + [0x00, 0xA8] + bomb, length: 100_000)
        // Content size 100,000 as recorded (4 bytes), window 1 GiB.
        expectDamaged(magic + [0x80, 0xA0, 0xA0, 0x86, 0x01, 0x00] + bomb, length: 100_000)
        // Content size 2^40 (8 bytes), single segment.
        expectDamaged(magic + [0xE0, 0, 0, 0, 0, 0, 1, 0, 0] + bomb, length: 100_000)
        // Content size as recorded, single segment, but more blocks than that.
        expectDamaged(magic + [0xA0, 0xA0, 0x86, 0x01, 0x00] + bomb, length: 100_000)
        // The same with dictionary 5.
        expectDamaged(magic + [0xA1, 5, 0xA0, 0x86, 0x01, 0x00] + bomb, length: 100_000)
    }

    @Test func flippedBytesNeverCrashNorWriteBeyondTheEnd() {
        var random = GeneratedBytes(seed: 52)
        for _ in 0..<2000 {
            var bytes = frame
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            _ = try? coder.decode(bytes, .zstd, rawLength: raw.count)
            _ = try? coder.decode(bytes, .delta, rawLength: raw.count, bases: [raw])
        }
    }

    @Test func basesThatDoNotFitTheEncodingAreRefused() {
        expectDamaged(frame, .delta, length: raw.count)
        expectDamaged(frame, .zstd, length: raw.count, bases: [raw])
        expectDamaged(raw, .plain, length: raw.count, bases: [raw])
        expectDamaged(frame, .delta, length: raw.count, bases: Array(repeating: raw, count: 9))
    }
}
