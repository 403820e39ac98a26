import BlobEngine
import Glibc
import RepoBase
import Testing

@testable import Repository

@Suite struct VerificationLedgerTests {
    private func pack(_ number: UInt64, size: UInt64 = 100) -> PackPresence.Indexed {
        PackPresence.Indexed(
            number: UInt32(number), id: ObjectID(words: number &* 0x9E37_79B9_7F4A_7C15, 0, 0, number),
            size: size)
    }

    private func withLedger(_ body: (VerificationLedger) throws -> Void) throws {
        let path = "/tmp/repo-ledger-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        defer { unlink(path) }
        try body(VerificationLedger(path: path))
    }

    /// A check of a repository that holds nothing but log is the first to write into its cache.
    @Test func isWrittenWhereNoFolderIsYet() throws {
        var template = Array("/tmp/repo-ledger-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let ledger = VerificationLedger(path: "\(folder)/cache/id/verified-packs")
        let coverage = ledger.record(verified: [], subset: .all, present: [pack(1)], at: 1) { Issue.record("\($0)") }
        #expect(coverage.packs == 1)
        for name in ["/cache/id/verified-packs", "/cache/id", "/cache", ""] { #expect(remove(folder + name) == 0) }
    }

    /// Packs are added and deleted between the runs; those there at the first run are covered by the last.
    @Test(arguments: [50.0, 33.0, 25.0, 10.0, 7.0]) func runsOfAShareCoverEverything(_ share: Double) throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20 {
            try withLedger { ledger in
                var present = (0..<UInt64.random(in: 1...200)).map {
                    pack($0, size: UInt64.random(in: 1...1000, using: &random))
                }
                var next = UInt64(present.count)
                for _ in 0..<2 {
                    var due = Set(present.map(\.id))
                    for _ in 0..<Int((100 / share).rounded(.up)) {
                        let chosen = ledger.choose(.percentage(share), from: present)
                        let bytes = chosen.reduce(0) { $0 + $1.size }
                        #expect(Double(bytes) >= Double(present.reduce(0) { $0 + $1.size }) * share / 100)
                        due.subtract(chosen.map(\.id))
                        ledger.record(
                            verified: chosen.map(\.id), subset: .percentage(share), present: present, at: 1)
                        for _ in 0..<Int.random(in: 0...20) {
                            present.append(pack(next))
                            next += 1
                        }
                        for _ in 0..<Int.random(in: 0...3) where present.count > 1 {
                            due.remove(present.remove(at: Int.random(in: present.indices)).id)
                        }
                    }
                    #expect(due.isEmpty, "\(due.count) packs were never verified")
                }
            }
        }
    }

    @Test func aSizeTakesTheLeastRecentlyVerifiedFirst() throws {
        try withLedger { ledger in
            let packs = (0..<10).map { pack($0) }
            var order: [ObjectID] = []
            for _ in 0..<5 {
                let chosen = ledger.choose(.size(200), from: packs)
                #expect(chosen.count == 2)
                order += chosen.map(\.id)
                ledger.record(verified: chosen.map(\.id), subset: .size(200), present: packs, at: 1)
            }
            #expect(Set(order).count == 10)
            #expect(ledger.choose(.size(1), from: packs).map(\.id) == [order[0]])
        }
    }

    @Test func whatWasVerifiedAndSinceWhenIsTold() throws {
        try withLedger { ledger in
            var packs = (0..<4).map { pack($0) }
            packs[3].isArchived = true
            var coverage = ledger.record(verified: [packs[0].id], subset: .size(100), present: packs, at: 500)
            #expect(coverage.packs == 4 && coverage.verifiedPacks == 1 && coverage.archivedPacks == 1 && !coverage.isComplete)
            #expect(coverage.since == 500)
            coverage = ledger.record(verified: [packs[1].id, packs[2].id], subset: .size(200), present: packs, at: 700)
            #expect(coverage.isComplete && coverage.since == 500)
            coverage = ledger.record(verified: [], failed: [packs[1].id], subset: .size(100), present: packs, at: 750)
            #expect(!coverage.isComplete, "what a later run finds damaged is not verified, whoever reads another part next")
            coverage = ledger.record(verified: packs.prefix(3).map(\.id), subset: .all, present: packs + [pack(9)], at: 600)
            #expect(!coverage.isComplete && coverage.since == 600, "a clock that was set back is taken as it is")
            coverage = ledger.record(verified: [], subset: .size(1), present: [packs[1]], at: 900)
            #expect(coverage.isComplete && coverage.since == 600)
        }
    }

    @Test func partsAreStableAndDisjoint() {
        withExtendedLifetime(()) {
            let ledger = VerificationLedger(path: "/nonexistent/ledger")
            let packs = (0..<1000).map { pack($0) }
            var seen: [ObjectID] = []
            for part in 1...7 {
                let chosen = ledger.choose(.part(part, of: 7), from: packs)
                #expect(
                    Set(chosen.map(\.id))
                        == Set(ledger.choose(.part(part, of: 7), from: packs.shuffled()).map(\.id)))
                seen += chosen.map(\.id)
            }
            #expect(seen.count == 1000 && Set(seen).count == 1000)
        }
    }

    @Test(arguments: [
        ("1/4", DataSubset.part(1, of: 4)), ("10%", .percentage(10)), ("2.5%", .percentage(2.5)),
        ("500", .size(500)),
        ("2k", .size(2048)), ("3M", .size(3 << 20)), ("1G", .size(1 << 30)),
    ]) func subsetsAreParsed(_ text: String, _ subset: DataSubset) throws {
        #expect(try DataSubset(parsing: text) == subset)
    }

    @Test(arguments: [
        "", "0/4", "5/4", "1/0", "%", "0%", "101%", "-1", "x", "1/2/3", "0", "99999999999999999999T",
    ])
    func otherTextsAreRefused(_ text: String) {
        #expect(throws: RepoError.self) { try DataSubset(parsing: text) }
    }
}
