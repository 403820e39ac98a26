@testable import PostgresFormats

/// Segments of a log in which nothing happens but a restore point and a commit at the beginning of each; the rest is given to records that say nothing (`XLOG_NOOP`).
/// Their layout is that of `WALPageHeader` and `WALRecordReader`.
enum SyntheticLog {
    static let segmentSize = WALSegmentSize(bytes: 1 << 20)!
    static let version = WALVersion.postgres18
    private static let pageSize = 8192

    static func segment(_ number: UInt64, timeline: UInt32, system: UInt64) -> [UInt8] {
        let start = number * UInt64(segmentSize.bytes)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(segmentSize.bytes)
        // The last record of the segment before begins on its last page.
        var previous = start - UInt64(pageSize - WALPageHeader.shortSize)
        func add(_ manager: UInt8, _ info: UInt8, transaction: UInt32 = 0, _ data: [UInt8]) {
            let position = start + UInt64(bytes.count)
            bytes += record(manager, info, transaction, previous: previous, data)
            bytes += [UInt8](repeating: 0, count: -bytes.count & 7)
            previous = position
        }
        for page in stride(from: 0, to: segmentSize.bytes, by: pageSize) {
            bytes += little(version.rawValue) + little(UInt16(page == 0 ? 2 : 0)) + little(timeline) + little(start + UInt64(page)) + little(UInt64(0))
            if page == 0 {
                bytes += little(system) + little(UInt32(segmentSize.bytes)) + little(UInt32(pageSize))
                // A second later with each segment, from 2023-11-14T22:13:22Z on; in microseconds since 2000.
                let time = little(753_315_201_000_000 + Int64(number) * 1_000_000)
                let name = Array((number == 2 ? "before" : "other").utf8)
                add(0, WALRecord.restorePoint, time + name + [UInt8](repeating: 0, count: 64 - name.count))
                add(1, 0, transaction: 748 + UInt32(number), time)
            }
            add(0, 0x20, [UInt8](repeating: 0, count: page + pageSize - bytes.count - WALRecord.headerSize - 5))
        }
        return bytes
    }

    private static func record(_ manager: UInt8, _ info: UInt8, _ transaction: UInt32, previous: UInt64, _ data: [UInt8]) -> [UInt8] {
        // `XLR_BLOCK_ID_DATA_SHORT` and `XLR_BLOCK_ID_DATA_LONG` (access/xlogrecord.h).
        let body = (data.count < 256 ? [255, UInt8(data.count)] : [254] + little(UInt32(data.count))) + data
        let head = little(UInt32(WALRecord.headerSize + body.count)) + little(transaction) + little(previous) + [info, manager, 0, 0]
        var checksum = CRC32C()
        (body + head).withUnsafeBytes { checksum.update($0) }
        return head + little(checksum.value) + body
    }

    private static func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] { withUnsafeBytes(of: number.littleEndian, Array.init) }
}
