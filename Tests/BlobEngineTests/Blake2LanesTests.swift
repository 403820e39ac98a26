import CB2
import CBlake2Lanes
import Glibc
import Testing

@Suite struct Blake2LanesTests {
    /// Every level that this processor has.
    static let levels = Array(0...repo_blake2b_best_level())

    /// Key lengths: none, the shortest, that of a repository's id secret, the longest.
    static let keyLengths = [0, 1, 32, 64]

    /// Lengths around the edges of blocks.
    static let edges = [0, 1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257, 383, 384, 385, 1024]

    // MARK: Fixed vectors

    /// BLAKE2b-256 of the bytes `(7 * i + 3) % 251`, computed with Python's `hashlib.blake2b`: without a key,
    /// and with the keys 0, 1, … 31 and 0, 1, … 63.
    static let vectors: [(length: Int, plain: String, keyed32: String, keyed64: String)] = [
        (
            0,
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
            "4e51e7a913fc80137da52880fecca175bf81e117d5c68126dc2774033517ea0d",
            "2fa9fbd9be36437de204e139e97d402bce68c828f43391608c891b5faed8a98a"
        ),
        (
            1,
            "e88bd757ad5b9bedf372d8d3f0cf6c962a469db61a265f6418e1ffed86da29ec",
            "5500a8ed696e45255a024afc49a57aa45ea21a254c30dcdea61da13552c6c0b1",
            "17b2fd75e36b2c3a9a6d6ed84731a449e5bacbf9ae68d93e1cb0ecde3eb4eb62"
        ),
        (
            127,
            "7eb3d4fe699cedc52282a1c091627822fe7790ef178af8269c0261d367931246",
            "3ec2a93662402a8fc4db775112c8f4e235d89377ff1bf53789e91102d2bf0a53",
            "1c9c4052ddbc8c22f18bc92f6070a4ded3ed5a804e5b306ea36772b49cf1ad70"
        ),
        (
            128,
            "6afdad1409d770bce274b62a69123c97c86ffb40ce9708f3ff9ae4cbba8ba080",
            "a044fc80b0d2fce1464b5d5e2bf9789dc8f44001bad8d2ca33a42280ab6c6abd",
            "69bd91c85e212ae2d9524f895a5bd15df3d787c0c4192ec2e98becd848f6e661"
        ),
        (
            129,
            "69e98b10112e4b7ae396bfbddaee75cc5fe6a9dc1fffc2b11e7c0fc48de04ae5",
            "0c3a4e94daece1df0340860a895df8954d13b7b15086376a7dc0be36dfacfbe1",
            "69e2099b3c95a94d74c1b56e74519bdc57205a460421434cb36fcf4931e3f6e3"
        ),
        (
            255,
            "79133c6c55eafb6dd1aa1d75fe1622b86492ce7093b81ba85f29205f6d3a7a78",
            "2af0f12d1caf7a873fedbb9185b2fa5c7bc97018ae7f95d75c0ae436e14f5b9b",
            "638b7e15cd3c119280f24cd18f62df890d651bd8d780eb8dae628cda8543d19b"
        ),
        (
            256,
            "fabff1fa6173588d4cecdeade31b3237760d62664249e44f621deba4b94367ad",
            "eaeb533015f1ea1bb567a453694b85f980b7e65dd8566e1a035a2ee5a34a9787",
            "f6c1d3ab961058c08963d5203e0bbcc496b1962f4fcd280a136b95c47c1c3eee"
        ),
        (
            100_000,
            "6b704932a175d8cd18d1efd0b707d636e0044d0414fd154e5ea7c4b2abaeff37",
            "3fb07fe2091bd6cf03df3083e9206f0d2878136544b3568bece19bb723d62a2e",
            "41d0dc09980207cb75f9f29a79d1af67d3b1cd318c79c91ef3ec331678fa290a"
        ),
    ]

    @Test(arguments: levels) func `fixed vectors are reproduced`(level: Int32) {
        for vector in Self.vectors {
            let message = (0..<vector.length).map { UInt8(($0 * 7 + 3) % 251) }
            for (keyLength, expected) in [(0, vector.plain), (32, vector.keyed32), (64, vector.keyed64)] {
                let key = (0..<keyLength).map { UInt8($0) }
                #expect(hex(batch([message], level: level, key: key)[0]) == expected)
                #expect(hex(stream([message], level: level, key: key)) == expected)
            }
        }
    }

    @Test(arguments: levels) func `the standard's example message has its 32-byte digest`(level: Int32) {
        // "abc" is the message of RFC 7693, appendix A; the digest of this size is from `hashlib.blake2b`.
        let expected = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
        #expect(hex(batch([Array("abc".utf8)], level: level, key: [])[0]) == expected)
    }

    // MARK: Batches against libb2

    @Test(arguments: levels, keyLengths)
    func `batches of every count and mix of lengths agree with libb2`(level: Int32, keyLength: Int) {
        var random = GeneratedBytes(seed: UInt64(keyLength))
        for count in 0...70 {
            let messages = (0..<count).map { _ in
                random.noise(
                    Bool.random(using: &random)
                        ? Self.edges.randomElement(using: &random)! : Int.random(in: 0...3000, using: &random)
                )
            }
            let key = random.noise(keyLength)
            #expect(
                batch(messages, level: level, key: key) == messages.map { libb2($0, key: key) }, "\(count)")
        }
    }

    @Test(arguments: levels, keyLengths)
    func `every length up to five blocks agrees with libb2`(level: Int32, keyLength: Int) {
        var random = GeneratedBytes(seed: 2)
        let messages = (0...640).map { random.noise($0) }
        let key = random.noise(keyLength)
        #expect(batch(messages, level: level, key: key) == messages.map { libb2($0, key: key) })
    }

    @Test(arguments: levels) func `long messages among short ones agree with libb2`(level: Int32) {
        var random = GeneratedBytes(seed: 3)
        var messages = (0..<200).map { _ in random.noise(Int.random(in: 0...9000, using: &random)) }
        messages[7] = random.noise(8 << 20)
        messages[150] = random.noise(1 << 20)
        messages[199] = random.noise((256 << 10) + 1)
        let key = random.noise(32)
        #expect(batch(messages, level: level, key: key) == messages.map { libb2($0, key: key) })
    }

    @Test(arguments: levels) func `the order of a batch does not matter`(level: Int32) {
        var random = GeneratedBytes(seed: 4)
        let messages = (0..<100).map { random.noise($0 * 37) }
        let forward = batch(messages, level: level, key: [])
        #expect(batch(messages.reversed(), level: level, key: []) == forward.reversed())
    }

    @Test(arguments: levels) func `nothing is read past the end of a message`(level: Int32) throws {
        // Each message ends where a page ends that has an inaccessible one behind it.
        let page = sysconf(Int32(_SC_PAGESIZE))
        let map = mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let memory = try #require(map != MAP_FAILED ? map : nil)
        defer { munmap(memory, 2 * page) }
        try #require(mprotect(memory + page, page, PROT_NONE) == 0)
        memory.initializeMemory(as: UInt8.self, repeating: 0x5a, count: page)

        let lengths = Array(0...300)
        let pointers: [UnsafePointer<UInt8>?] = lengths.map {
            UnsafePointer((memory + page - $0).assumingMemoryBound(to: UInt8.self))
        }
        var out = [UInt8](repeating: 0, count: 32 * lengths.count)
        repo_blake2b_256_many(level, nil, 0, pointers, lengths, lengths.count, &out)
        for (index, length) in lengths.enumerated() {
            let expected = libb2([UInt8](repeating: 0x5a, count: length), key: [])
            #expect(Array(out[32 * index..<32 * (index + 1)]) == expected, "\(length)")
        }
    }

    // MARK: Streams

    @Test(arguments: levels, keyLengths)
    func `a stream agrees with libb2 however it is cut`(level: Int32, keyLength: Int) {
        var random = GeneratedBytes(seed: 5)
        for round in 0..<300 {
            let pieces = (0..<round % 7).map { _ in
                random.noise(
                    Bool.random(using: &random)
                        ? Self.edges.randomElement(using: &random)! : Int.random(in: 0...700, using: &random))
            }
            let key = random.noise(keyLength)
            #expect(stream(pieces, level: level, key: key) == libb2(Array(pieces.joined()), key: key))
        }
    }

    @Test(arguments: levels) func `a copied stream goes its own way`(level: Int32) {
        var first = repo_blake2b_256()
        repo_blake2b_256_init(&first, level, nil, 0)
        repo_blake2b_256_update(&first, Array("common, ".utf8), 8)
        var second = first
        repo_blake2b_256_update(&first, Array("one".utf8), 3)
        repo_blake2b_256_update(&second, Array("two".utf8), 3)
        #expect(finish(&first) == libb2(Array("common, one".utf8), key: []))
        #expect(finish(&second) == libb2(Array("common, two".utf8), key: []))
    }

    // MARK: Levels

    @Test func `a level above the processor's best is its best`() {
        let best = repo_blake2b_best_level()
        #expect(repo_blake2b_lanes_width(.max) == repo_blake2b_lanes_width(best))
        let messages = (0..<20).map { [UInt8](repeating: UInt8($0), count: $0 * 50) }
        #expect(batch(messages, level: .max, key: []) == messages.map { libb2($0, key: []) })
    }

    @Test func `each level is wider than the one below`() {
        #expect(Self.levels.map(repo_blake2b_lanes_width) == Array([1, 4, 8].prefix(Self.levels.count)))
    }

    @Test func `a key of more than 64 bytes traps`() async {
        await #expect(processExitsWith: .failure) {
            var out = [UInt8](repeating: 0, count: 32)
            repo_blake2b_256_many(0, [UInt8](repeating: 1, count: 65), 65, [], [], 0, &out)
        }
    }
}

// MARK: - The three ways to a digest

/// The digests of a batch of messages that lie behind each other in memory, so at any alignment. Also expects
/// that nothing is written beside them.
private func batch(_ messages: [[UInt8]], level: Int32, key: [UInt8]) -> [[UInt8]] {
    var bytes: [UInt8] = [0]
    for message in messages {
        bytes += message
    }
    let lengths = messages.map(\.count)
    let margin = 64
    var out = [UInt8](repeating: 0xa5, count: 32 * messages.count + 2 * margin)
    bytes.withUnsafeBufferPointer { bytes in
        var next = bytes.baseAddress! + 1
        let pointers: [UnsafePointer<UInt8>?] = lengths.map { length in
            defer { next += length }
            return next
        }
        out.withUnsafeMutableBufferPointer { out in
            repo_blake2b_256_many(
                level, key, key.count, pointers, lengths, lengths.count, out.baseAddress! + margin)
        }
    }
    #expect((out.prefix(margin) + out.suffix(margin)).allSatisfy { $0 == 0xa5 })
    return messages.indices.map { Array(out[margin + 32 * $0..<margin + 32 * ($0 + 1)]) }
}

private func stream(_ pieces: [[UInt8]], level: Int32, key: [UInt8]) -> [UInt8] {
    var state = repo_blake2b_256()
    repo_blake2b_256_init(&state, level, key, key.count)
    for piece in pieces {
        repo_blake2b_256_update(&state, piece, piece.count)
    }
    return finish(&state)
}

private func finish(_ state: inout repo_blake2b_256) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 32)
    repo_blake2b_256_final(&state, &out)
    return out
}

/// The oracle.
private func libb2(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 32)
    let status = blake2b(&out, message, key, 32, message.count, key.count)
    precondition(status == 0, "libb2 refused its arguments")
    return out
}

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
