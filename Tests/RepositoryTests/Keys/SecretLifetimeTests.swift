import BlobEngine
import Glibc
import RepoBase
import RepositoryTesting
import Storage
import StorageTesting
import Testing

@testable import Repository

/// That secrets are gone from memory when their last owner is.
@Suite("Secrets in memory") struct SecretLifetimeTests {
    /// Secrets are written down here with their bits turned over, so that they themselves are not found.
    private final class Masked {
        private(set) var secrets: [(name: String, bytes: [UInt8])] = []

        func add(_ name: String, _ secret: SecretBytes) {
            secrets.append((name, secret.withUnsafeBytes { bytes in bytes.map { ~$0 } }))
        }
    }

    /// In how many places of this process's memory each is.
    private static func occurrences(_ secrets: [(name: String, bytes: [UInt8])]) throws -> [String: Int] {
        // What is looked for is in memory of its own, which is passed over.
        let size = 4096
        let memory = try #require(mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
        defer { munmap(memory, size) }
        let pattern = memory.assumingMemoryBound(to: UInt8.self)
        var found: [String: Int] = [:]
        for (name, masked) in secrets {
            for place in masked.indices { pattern[place] = ~masked[place] }
            found[name] = try MemorySearch.occurrences(of: UnsafeRawBufferPointer(start: memory, count: masked.count))
            memset(memory, 0, size)
        }
        return found
    }

    private static func text(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Opens a repository with a machine key, stores and reads, and lets go of everything.
    private func use(_ work: String, _ masked: Masked, whileOpen: ([(name: String, bytes: [UInt8])]) throws -> Void) throws {
        let world = try CollectionWorld()
        var keys = world.keys
        let file = try #require(try keys.addKey(to: world.store, .machine, role: .full, label: "").keyFile)
        let ring = try KeyRing.open(world.store, .machineKey(Array(file.utf8)))
        if work != "opened" {
            let id = try world.snapshot(["a": [UInt8](repeating: 7, count: 30_000)])
            if work == "read" { #expect(try SnapshotReading(world.open()).files(id).count == 1) }
        }
        masked.add("id secret", ring.idSecret)
        masked.add("chunker secret", ring.chunkerSecret)
        masked.add("seed of the signing key", ring.signer.secret)
        masked.add("seed of the authority's key", try #require(ring.payload.authorityKey).secret)
        masked.add("private key of the key", ring.payload.agreementKey.secret)
        masked.add("index key", ring.currentEpoch.indexKey)
        masked.add("private key of the epoch", try #require(ring.currentEpoch.agreement).secret)
        try whileOpen(masked.secrets)
    }

    @Test("Keys are wiped when their last owner lets go, with every copy on the way", arguments: ["opened", "stored", "read"])
    func wiped(work: String) throws {
        let masked = Masked()
        try use(work, masked) { secrets in
            for (name, count) in try Self.occurrences(secrets) { #expect(count > 0, "\(name) is there while it is used") }
        }
        for (name, count) in try Self.occurrences(masked.secrets) { #expect(count == 0, "\(name)") }
    }

    @Test("Keys are in memory that is locked and left out of dumps, where the limit allows")
    func locked() throws {
        let secret = SecretBytes.random(32)
        let address = secret.withUnsafeBytes { UInt(bitPattern: $0.baseAddress!) }
        let maps = try #require(Self.text("/proc/self/smaps")).split(separator: "\n")
        var flags: Substring?
        var isHere = false
        for line in maps {
            let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            if ends.count == 2 { isHere = (ends[0]..<ends[1]).contains(address) }
            if isHere, line.hasPrefix("VmFlags:") { flags = line }
        }
        let found = try #require(flags)
        #expect(found.contains(" dd"))
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(8), &limit)  // RLIMIT_MEMLOCK
        if limit.rlim_cur >= 1 << 20 { #expect(found.contains(" lo")) }
        withExtendedLifetime(secret) {}
    }

    @Test("Slots are taken again, and hold nothing of before", arguments: [1, 32, 64, 65, 5000])
    func slots(count: Int) {
        for round in 0..<200 {
            let secret = SecretBytes([UInt8](repeating: UInt8(round), count: count))
            #expect(secret.bytes == [UInt8](repeating: UInt8(round), count: count))
            #expect(secret.part(0..<1).bytes == [UInt8(round)])
        }
        #expect(SecretBytes(joining: [SecretBytes([1]), SecretBytes([]), SecretBytes([2, 3])]).bytes == [1, 2, 3])
    }
}
