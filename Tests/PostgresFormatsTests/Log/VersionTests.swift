import RepoBase
import Testing
@testable import PostgresFormats

/// What differs between versions in the log. Of versions that no server is here for, records are made after their headers.
@Suite("Versions of the log")
struct VersionTests {
    /// A record of `RM_XACT_ID` that ends prepared transaction 741 and holds every part that such records can have.
    private func commitPrepared(_ version: WALVersion) -> [UInt8] {
        func u32(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        let hasStatistics = version.major >= 15
        var main = [UInt8](repeating: 0, count: 8)
        main[0] = 77
        // Database, subtransactions, relations, invalidations, two phases, origin, locks, name; statistics from 15 on.
        main += u32(0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80 | (hasStatistics ? 0x100 : 0))
        main += u32(5) + u32(1663)
        main += u32(3) + u32(742) + u32(743) + u32(744)
        main += u32(2) + [UInt8](repeating: 1, count: 24)
        if hasStatistics { main += u32(2) + [UInt8](repeating: 2, count: 2 * (version.major >= 18 ? 16 : 12)) }
        main += u32(3) + [UInt8](repeating: 3, count: 48)
        main += u32(741) + Array("name\0".utf8) + [UInt8](repeating: 4, count: 16)
        var record = [UInt8](repeating: 0, count: 24) + [255, UInt8(main.count)] + main
        record.replaceSubrange(0..<4, with: u32(UInt32(record.count)))
        record[16] = 0x30 | 0x80
        record[17] = WALRecord.transactionManager
        return record
    }

    private func read(_ record: [UInt8], _ version: WALVersion) -> WALTransactionEnd.Reading {
        record.withUnsafeBytes { WALTransactionEnd.read($0, position: .invalid, end: .invalid, version: version) }
    }

    @Test("the prepared transaction is found behind all that can stand before it", arguments: WALVersion.allCases)
    func prepared(version: WALVersion) {
        let record = commitPrepared(version)
        guard case .end(let end) = read(record, version) else {
            Issue.record("no end")
            return
        }
        #expect(end.kind == .commitPrepared && end.transaction == 741 && end.time.microseconds == 77)
        // Its beginning tells time and kind, and does not make up a transaction.
        for count in 0..<record.count {
            switch read(Array(record[..<count]), version) {
            case .tooShort: #expect(count < 34)
            case .end(let end): #expect(count >= 34 && end.time.microseconds == 77 && (end.transaction == nil || end.transaction == 741))
            case .noEnd, .nonsense: Issue.record("\(count) bytes")
            }
        }
    }

    @Test("what compressed images are marked with changed with 15", arguments: WALVersion.allCases)
    func images(version: WALVersion) {
        let isOld = version.major <= 14
        for (info, isCompressed) in [(UInt8(0x01 | 0x02), isOld), (0x01 | 0x04, !isOld), (0x01 | 0x10, !isOld), (0x02, false), (0x01, false)] {
            // Block 0 with an image of 100 bytes, compressed ones with the length of their hole, and 3 bytes of main data.
            var record = [UInt8](repeating: 0, count: 24) + [0, 0x10, 0, 0, 100, 0, 0, 0, info] + (isCompressed ? [1, 2] : [])
            record += [UInt8](repeating: 7, count: 16) + [255, 3] + [UInt8](repeating: 9, count: 103)
            let content = record.withUnsafeBytes { WALRecordContent($0, totalLength: record.count, version: version) }
            #expect(content?.mainData == record.count - 3..<record.count, "\(version) \(info)")
            #expect(content?.blocks == 1)
        }
    }

    @Test("magic numbers", arguments: zip(WALVersion.allCases, [0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118] as [UInt16]))
    func magics(version: WALVersion, magic: UInt16) { #expect(version.rawValue == magic) }

    @Test("a segment of an unknown version is refused by its magic number, and no other magic passes for a known one")
    func unknown() throws {
        let log = try RecordedLog.shared.get()
        let name = log.segments[1]
        var bytes = log.files[name]!
        bytes[0] = 0x20
        let error = #expect(throws: RepoError.self) {
            try bytes.withUnsafeBytes { _ = try WALSegmentReader.verify(name: name, $0, extent: .complete, object: name) }
        }
        #expect(error?.message.contains("0xD120") == true)
    }
}
