import CChecksums
import RepoBase
import Testing
@testable import PostgresFormats

@Suite("Checksums of data pages, beside pg_checksums")
struct PageVerificationTests {
    let log: RecordedLog
    init() throws { log = try RecordedLog.shared.get() }

    private func faults(_ bytes: [UInt8], first: UInt32 = 0, start: LogSequenceNumber? = nil) -> [(UInt32, PageVerification.Verdict)] {
        var found: [(UInt32, PageVerification.Verdict)] = []
        bytes.withUnsafeBytes { PageVerification(start: start).verify(pages: $0, first: first) { found.append(($0, $1)) } }
        return found
    }

    @Test("every page of a real cluster is intact or new")
    func intact() {
        #expect(log.relations.count > 200)
        for (path, bytes) in log.relations {
            let file = RelationFile(path: path)
            #expect(file?.firstBlock(pagesPerFile: 131_072) == 0)
            #expect(faults(bytes).isEmpty, "\(path)")
        }
    }

    @Test("the pages that pg_checksums calls damaged are found, and no others")
    func flipped() {
        var count = 0
        for flip in log.flips {
            var bytes = log.relations[flip.path]!
            bytes[flip.offset] ^= 0x10
            let found = faults(bytes)
            let block = UInt32(flip.offset / 8192)
            let isTold = log.checksumReport.contains("\(flip.path)\", block \(block):")
            #expect(found.map(\.0) == (isTold ? [block] : []), "\(flip.path) \(flip.offset)")
            count += found.count
        }
        #expect(count >= 30)
        #expect(log.checksumReport.contains("Bad checksums:  \(count)\n"), "\(log.checksumReport.suffix(300))")
    }

    @Test("a page at another place is damaged, one that changed since the backup began is not")
    func verdicts() throws {
        let bytes = try #require(log.relations.values.first { $0.count >= 3 * 8192 && $0.prefix(8192).contains { $0 != 0 } })
        #expect(!faults(bytes, first: 1).isEmpty)
        var page = Array(bytes[..<8192])
        page[5000] ^= 1
        let changed = page.withUnsafeBytes { LogSequenceNumber(UInt64($0.u32(0)) << 32 | UInt64($0.u32(4))) }
        let verdict = try #require(faults(page).first).1
        #expect(verdict.isDamage)
        #expect(faults(page, start: changed).map(\.1) == [.changedSince(changed)])
        #expect(faults(page, start: LogSequenceNumber(changed.value + 1)).map(\.1) == [verdict])
        #expect(faults([UInt8](repeating: 0, count: 8192)).isEmpty)
        var half = [UInt8](repeating: 0, count: 8192)
        half[8000] = 1
        #expect(faults(half).map(\.1) == [.halfEmpty])
        #expect(faults(Array(page[..<8000])).isEmpty)
    }

    @Test("vectors and plain code agree", arguments: [1024, 8192, 32_768])
    func kernels(size: Int) {
        let bytes = (0..<size).map { _ in UInt8.random(in: 0...255) }
        for block in [0, 1, UInt32.max] {
            #expect(repo_page_checksum(bytes, size, block) == repo_page_checksum_portable(bytes, size, block))
        }
    }

    @Test("names of relations' files")
    func names() {
        let file = RelationFile(path: "base/5/16384_vm.12")
        #expect(file?.database == 5 && file?.filenode == 16_384 && file?.fork == .visibility && file?.segment == 12)
        #expect(file?.firstBlock(pagesPerFile: 131_072) == 1_572_864)
        #expect(RelationFile(path: "base/5/1.40000")?.firstBlock(pagesPerFile: 131_072) == nil)
        #expect(RelationFile(path: "global/1262")?.database == 0)
        #expect(RelationFile(path: "pg_tblspc/16400/PG_15_202209061/5/16385_init")?.tablespace == 16_400)
        for path in [
            "base/5/t3_16384", "base/5/PG_VERSION", "base/5/pg_filenode.map", "global/pg_control", "base/5/16384_main", "base/5/16384.0",
            "base/5/16384.x", "base/x/16384", "base/16384", "16384", "base/5/016384", "base/5/16384/1", "pg_xact/0000", "", "base/5/1_fsm_vm",
        ] {
            #expect(RelationFile(path: path) == nil, "\(path)")
        }
    }
}
