import BlobEngine
import Glibc
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// What share of packs comes back, by the share that is damaged: `tools/verify parity` prints it for as many rounds as asked (REPO_PARITY_ROUNDS).
@Suite(.serialized) struct ParityRecoveryTests {
    private static let rounds = getenv("REPO_PARITY_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 1
    /// In a test that is not asked for more, small ones.
    private static let packs = getenv("REPO_PARITY_ROUNDS") == nil ? 120 : 500

    private static func make(_ parity: UInt64) throws -> (ParityFixture, ParityGroup, SeededNumbers) {
        var random = SeededNumbers(seed: parity)
        let fixture = try ParityFixture()
        // Nearly as long as each other, as full packs are.
        try fixture.addPacks((0..<packs).map { _ in Int.random(in: 125_000...131_072, using: &random) }, &random)
        return (fixture, try fixture.makeGroup(parity: parity), random)
    }

    private static func report(_ line: String) {
        if getenv("REPO_PARITY_ROUNDS") != nil { print("parity: \(line)") }
    }

    private static func percent(_ share: Double) -> String { "\((share * 1000).rounded() / 10) %" }

    @Test(arguments: [500, 1000] as [UInt64]) func wholePacksLost(parity: UInt64) throws {
        var (fixture, group, random) = try Self.make(parity)
        let packs = fixture.packs
        let promised = Int(parity) * packs.count * 8 / 100_000
        #expect(group.parityCount >= promised)
        Self.report(
            "\(Double(parity) / 100) %: \(packs.count) packs, \(group.parityCount) rows, \(Self.percent(Double(group.parityBytes) / Double(group.bytes))) of their bytes spent")
        for share in [0.02, 0.04, 0.05, 0.06, 0.08, 0.09, 0.10, 0.11, 0.12] {
            var (lost, back) = (0, 0)
            for _ in 0..<Self.rounds {
                let victims = packs.keys.sorted().shuffled(using: &random).prefix(Int((share * Double(packs.count)).rounded()))
                for id in victims { try fixture.store.delete(PackObject.key(id)) }
                let result = try fixture.heal(victims)
                for id in result.healed { #expect(try fixture.state(id) == .whole) }
                if victims.count <= group.parityCount { #expect(result.healed.count == victims.count, "\(share)") }
                lost += victims.count
                back += result.healed.count
                for id in victims { try fixture.store.put(PackObject.key(id), packs[id]!, .replace) }
            }
            Self.report("  \(Self.percent(share)) of packs lost: \(Self.percent(Double(back) / Double(max(1, lost)))) of them back")
        }
    }

    /// So many sectors of 4,096 bytes for each hundred packs, at random places.
    @Test(arguments: [500, 1000] as [UInt64]) func sectorsFlipped(parity: UInt64) throws {
        var (fixture, group, random) = try Self.make(parity)
        let packs = fixture.packs
        let ids = packs.keys.sorted()
        for share in [0.02, 0.05, 0.08, 0.10, 0.15, 0.20, 0.25] {
            var (hurt, back) = (0, 0)
            for _ in 0..<Self.rounds {
                var victims: Set<ObjectID> = []
                for _ in 0..<Int((share * Double(ids.count)).rounded()) {
                    let id = ids.randomElement(using: &random)!
                    let place = Int.random(in: 0..<packs[id]!.count - 4096, using: &random)
                    try fixture.damage(PackObject.key(id)) { bytes in for offset in 0..<4096 { bytes[place + offset] ^= 0x5a } }
                    victims.insert(id)
                }
                let result = try fixture.heal(victims)
                for id in result.healed { #expect(try fixture.state(id) == .whole) }
                hurt += victims.count
                back += result.healed.count
                for id in victims { try fixture.store.put(PackObject.key(id), packs[id]!, .replace) }
                for key in try fixture.repository.keys("damaged/") { try fixture.store.delete(key) }
            }
            if share <= Double(parity) / 10_000 { #expect(back == hurt, "\(share)") }
            Self.report(
                "  \(Double(parity) / 100) %, a bad sector in \(Self.percent(Double(hurt) / Double(Self.rounds * ids.count))) of packs: \(Self.percent(Double(back) / Double(max(1, hurt)))) of them back"
            )
        }
        withExtendedLifetime(group) {}
    }
}
