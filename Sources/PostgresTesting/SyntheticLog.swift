public import PostgresFormats
import RepoBase

/// Segments of 1 MiB of a log in which nothing happens but a restore point and a commit at the beginning of each; the rest is given to records that say nothing
/// (`XLOG_NOOP`). As PostgreSQL 18 writes them (access/xlog_internal.h, access/xlogrecord.h).
public enum SyntheticLog {
    public static let segmentSize = WALSegmentSize(bytes: 1 << 20)!

    private static let pageSize = 8192
    private static let pageHeaderSize = 24
    private static let recordHeaderSize = 24

    /// - Parameters:
    ///   - transaction: what commits in it, and when.
    ///   - restorePoint: its name, of at most 63 bytes; its time is the commit's.
    public static func segment(
        _ number: UInt64, timeline: UInt32 = 1, system: UInt64, transaction: UInt32, at time: PostgresTime, restorePoint: String = "point"
    ) -> [UInt8] {
        let start = number * UInt64(segmentSize.bytes)
        let name = Array(restorePoint.utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(segmentSize.bytes)
        // The last record of the segment before begins on its last page.
        var previous = start - UInt64(pageSize - pageHeaderSize)
        func add(manager: UInt8, info: UInt8, transaction: UInt32 = 0, _ data: [UInt8]) {
            let position = start + UInt64(bytes.count)
            bytes += record(manager, info, transaction, previous: previous, data)
            bytes += [UInt8](repeating: 0, count: -bytes.count & 7)
            previous = position
        }
        for page in stride(from: 0, to: segmentSize.bytes, by: pageSize) {
            // XLP_LONG_HEADER on the first.
            bytes += little(WALVersion.postgres18.rawValue) + little(UInt16(page == 0 ? 2 : 0)) + little(timeline) + little(start + UInt64(page)) + little(UInt64(0))
            if page == 0 {
                bytes += little(system) + little(UInt32(segmentSize.bytes)) + little(UInt32(pageSize))
                add(manager: 0, info: 0x70, little(time.microseconds) + name + [UInt8](repeating: 0, count: 64 - name.count))
                add(manager: 1, info: 0, transaction: transaction, little(time.microseconds))
            }
            add(manager: 0, info: 0x20, [UInt8](repeating: 0, count: page + pageSize - bytes.count - recordHeaderSize - 5))
        }
        return bytes
    }

    private static func record(_ manager: UInt8, _ info: UInt8, _ transaction: UInt32, previous: UInt64, _ data: [UInt8]) -> [UInt8] {
        // XLR_BLOCK_ID_DATA_SHORT and XLR_BLOCK_ID_DATA_LONG.
        let body = (data.count < 256 ? [255, UInt8(data.count)] : [254] + little(UInt32(data.count))) + data
        let head = little(UInt32(recordHeaderSize + body.count)) + little(transaction) + little(previous) + [info, manager, 0, 0]
        let checksum = (body + head).withUnsafeBytes(CRC32C.of)
        return head + little(checksum) + body
    }

    private static func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
}
