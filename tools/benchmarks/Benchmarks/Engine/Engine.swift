import Benchmark
import BlobEngine
import Glibc
import RepoBase

/// What runs over every byte, and what runs for every blob. Throughput counts iterations; each iteration of the first four handles
/// 16 MiB, so 100 of them a second are 1.6 GiB/s.
let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .cpuTotal, .throughput, .mallocCountTotal], warmupIterations: 2,
        maxDuration: .seconds(3))

    Benchmark("chunking: scan for candidates, 16 MiB") { benchmark in
        let input = Input.text
        let gear = GearTable(chunkerSecret: Input.secret)
        var candidates = CandidateBuffer()
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            candidates.removeAll()
            input.withUnsafeBufferPointer {
                CandidateScanner.scan(gear, base: $0.baseAddress!, count: $0.count, before: 0, into: &candidates)
            }
            blackHole(candidates.count)
        }
    }

    Benchmark("chunking: cut and sketch, 16 MiB of candidates") { benchmark in
        let input = Input.text
        var candidates = CandidateBuffer()
        input.withUnsafeBufferPointer {
            CandidateScanner.scan(
                GearTable(chunkerSecret: Input.secret), base: $0.baseAddress!, count: $0.count, before: 0,
                into: &candidates)
        }
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            var cutter = ChunkCutter(profile: .stream, key: GearTable(chunkerSecret: Input.secret).cutKey)
            cutter.feed(candidates: candidates, segmentLength: input.count, isLast: true) { blackHole($0) }
        }
    }

    Benchmark("hashing: ids of 64 chunks of 256 KiB") { benchmark in
        let hasher = BlobHasher(idSecret: Input.secret)
        let input = Input.text
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            input.withUnsafeBytes { bytes in
                let chunks = (0..<64).map { UnsafeRawBufferPointer(rebasing: bytes[$0 << 18..<($0 + 1) << 18]) }
                blackHole(hasher.ids(.chunk, chunks))
            }
        }
    }

    Benchmark("sealing: 64 blobs of 256 KiB") { benchmark in
        let cipher = AuthenticatedCipher(key: Input.secret)
        let input = Input.text
        let out = AlignedBuffer(capacity: (256 << 10) + 16)
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            input.withUnsafeBytes { bytes in
                for ordinal in 0..<64 {
                    let chunk = UnsafeRawBufferPointer(rebasing: bytes[ordinal << 18..<(ordinal + 1) << 18])
                    cipher.seal(
                        nonce: .ordinal(UInt32(ordinal)), associated: UnsafeRawBufferPointer(start: nil, count: 0),
                        plaintext: chunk, into: out.base)
                }
            }
        }
    }

    Benchmark("index: look 1,000 absent ids up in 500,000") { benchmark in
        let table = try Input.table(count: 500_000)
        let wanted = (0..<1000).map { Input.id(UInt64($0) + 1 << 40) }
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            for id in wanted { blackHole(table.positions(of: id)) }
        }
    }

    Benchmark("index: look 1,000 present ids up in 500,000") { benchmark in
        let table = try Input.table(count: 500_000)
        let wanted = (0..<1000).map { table.id(at: $0 * 499) }
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            for id in wanted { blackHole(table.positions(of: id)) }
        }
    }
}

enum Input {
    static let secret = [UInt8](repeating: 7, count: 32)

    /// 16 MiB of text as a dump has it, the same in each run.
    static let text: [UInt8] = {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(17 << 20)
        var state: UInt64 = 1
        while bytes.count < 16 << 20 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            bytes.append(contentsOf: "\(state >> 44)\t2026-01-\(10 + state % 20)\torder \(state >> 33)\n".utf8)
        }
        return Array(bytes[..<(16 << 20)])
    }()

    static func id(_ number: UInt64) -> BlobID {
        withUnsafeBytes(of: number) { ObjectHasher.hash($0) }
    }

    static func table(count: Int) throws -> IndexTable {
        let seal = PackSeal(
            epoch: 1, envelope: [UInt8](repeating: 0, count: 80),
            signer: KeyID(publicKey: [UInt8](repeating: 1, count: 32)))
        let pack = PackRecord(id: id(.max), size: 200 << 20, seal: seal, isVerified: false)
        let ids = (0..<count).map { id(UInt64($0)) }.sorted()
        let blobs = ids.enumerated().map { place, id in
            (
                pack: UInt32(0),
                record: BlobRecord(
                    id: id, type: .chunk, encoding: .zstd, offset: UInt32(8 + place * 200), ordinal: UInt32(place),
                    storedLength: 100, rawLength: 300, bases: BlobBases())
            )
        }
        let path = "\(getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/repo-benchmark-\(getpid()).table"
        try IndexTable.write(
            IndexSegment(replaces: [], packs: [pack], blobs: blobs), signer: seal.signer, to: path)
        defer { unlink(path) }
        return try IndexTable(path: path)
    }
}
