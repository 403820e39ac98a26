import RepoBase
import Testing

@testable import PostgresFormats

/// Records that were made by hand: `xl_parameter_change` and `xl_tblspc_create_rec` are the same from 13 to 18, and a server of each is not at hand.
/// Those of a real PostgreSQL 15 are read by the scenarios of recovery.
@Suite("What the log asks of a machine")
struct HindranceTests {
    private func u32(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    private func record(manager: UInt8, info: UInt8, _ main: [UInt8]) -> [UInt8] {
        let data: [UInt8] = main.count < 256 ? [255, UInt8(main.count)] : [254] + u32(UInt32(main.count))
        var record = [UInt8](repeating: 0, count: 24) + data + main
        record.replaceSubrange(0..<4, with: u32(UInt32(record.count)))
        record[16] = info
        record[17] = manager
        return record
    }

    private func settings(level: UInt32) -> [UInt8] {
        record(manager: 0, info: 0x60, [100, 8, 10, 3, 64].flatMap { u32($0) } + u32(level) + [0, 1, 0, 0])
    }

    private func tablespace(_ path: String, info: UInt8 = 0) -> [UInt8] { record(manager: 5, info: info, u32(16385) + Array(path.utf8) + [0]) }

    private func read(_ bytes: [UInt8], _ version: WALVersion) -> WALHindrance? {
        bytes.withUnsafeBytes { WALHindrance.read(WALRecord(position: LogSequenceNumber(64), end: LogSequenceNumber(128), bytes: $0), version) }
    }

    @Test("settings and tablespaces are read", arguments: WALVersion.allCases)
    func kinds(version: WALVersion) throws {
        guard case .settings(let limits, let position) = read(settings(level: 1), version) else {
            Issue.record("no settings")
            return
        }
        #expect(position.value == 64 && !limits.isMinimal)
        #expect(limits.values.map(\.value) == [100, 8, 10, 3, 64])
        #expect(limits.values.map(\.name).first == "max_connections" && limits.values.map(\.name).last == "max_locks_per_transaction")
        guard case .settings(let minimal, _) = read(settings(level: 0), version) else {
            Issue.record("no settings")
            return
        }
        #expect(minimal.isMinimal)
        for path in ["/srv/fast", "/srv/" + String(repeating: "long/", count: 100)] {
            #expect(read(tablespace(path), version) == .tablespace(oid: 16385, folder: path, position: LogSequenceNumber(64)))
        }
        // One in the data directory, one that is dropped, and what is none.
        #expect(read(tablespace(""), version) == nil)
        #expect(read(tablespace("/srv/fast", info: 0x10), version) == nil)
        #expect(read(record(manager: 1, info: 0, [1, 2, 3]), version) == nil)
    }

    @Test("a record across two segments is put together, and a path that is not all there is told as unknown")
    func crossing() {
        let version = WALVersion.postgres15
        func all(_ bytes: [UInt8], cut: Int, headLimit: Int = 128) -> [WALHindrance] {
            let rest = Array(bytes[cut...])
            let first = WALHindrance.Part(version: version, open: .init(position: LogSequenceNumber(64), head: Array(bytes[..<cut])), continuation: nil)
            let second = WALHindrance.Part(
                version: version, open: nil, continuation: .init(remaining: UInt32(rest.count), head: Array(rest.prefix(headLimit))))
            return WALHindrance.all(in: [first, second])
        }
        let short = tablespace("/srv/fast")
        for cut in 24..<short.count {
            #expect(all(short, cut: cut) == [.tablespace(oid: 16385, folder: "/srv/fast", position: LogSequenceNumber(64))], "\(cut)")
        }
        let long = tablespace("/srv/" + String(repeating: "x", count: 600))
        #expect(all(long, cut: 30) == [.tablespace(oid: 0, folder: nil, position: LogSequenceNumber(64))])
        #expect(all(settings(level: 0), cut: 40).count == 1)
        // Nothing follows, and another kind.
        let alone = WALHindrance.Part(version: version, open: .init(position: .invalid, head: short), continuation: nil)
        #expect(WALHindrance.all(in: [alone]).isEmpty)
        #expect(all(record(manager: 10, info: 0, [1, 2, 3, 4]), cut: 26).isEmpty)
    }

    @Test("a real segment has none that are not there")
    func real() throws {
        let log = try RecordedLog.shared.get()
        for name in log.segments {
            let part = try log.files[name]!.withUnsafeBytes { try WALHindrance.Part($0, object: name) }
            #expect(part.found.allSatisfy { if case .settings(let limits, _) = $0 { !limits.isMinimal } else { true } }, "\(name)")
        }
    }
}
