import Foundation
import PostgresTesting

/// The transactions of a log in its order, as pg_waldump reads them: what is true, told by PostgreSQL itself.
struct LogOracle {
    struct End {
        var xid: UInt32
        var lsn: String
        /// Microseconds since 1970.
        var time: Int64
        var isCommit: Bool
        var isPrepared = false
        var hasSubtransactions = false
    }

    private(set) var ends: [End] = []

    /// Where a record begins, as a number.
    static func position(_ lsn: String) -> UInt64 {
        let halves = lsn.split(separator: "/")
        return UInt64(halves[0], radix: 16)! << 32 | UInt64(halves[1], radix: 16)!
    }

    /// - Parameters:
    ///   - folder: `pg_wal` with all segments of a timeline, from the first that is there.
    ///   - parent: what came before, up to the position at which the timeline begins.
    init(_ folder: String, timeline: Int, parent: (oracle: LogOracle, fork: UInt64)? = nil) throws {
        let digits = String(timeline, radix: 16, uppercase: true)
        let first = FileTree.names(folder).first { $0.count == 24 && $0.hasPrefix(String(repeating: "0", count: 8 - digits.count) + digits) }
        // Segments of 1 MiB. It fails where the log ends, after it has told everything.
        let start = first.map { "\($0.dropFirst(8).prefix(8))/\(String(UInt32($0.suffix(8), radix: 16)! << 20, radix: 16))" } ?? "0/0"
        let text = try PostgresServer.run(
            [
                "/bin/sh", "-c",
                "TZ=UTC \(PostgresServer.binaries)/pg_waldump -p \(folder) -t \(timeline) -r Transaction -s \(start) 2>/dev/null || true",
            ])
        if let parent { ends = parent.oracle.ends.filter { Self.position($0.lsn) < parent.fork } }
        let times = DateFormatter()
        times.locale = Locale(identifier: "en_US_POSIX")
        times.timeZone = TimeZone(secondsFromGMT: 0)
        times.dateFormat = "yyyy-MM-dd HH:mm:ss"
        for line in text.split(separator: "\n") {
            guard let lsn = line.range(of: "lsn: "), let description = line.range(of: "desc: ") else { continue }
            let words = line[description.upperBound...].split(separator: " ").map(String.init)
            guard let kind = words.first, ["COMMIT", "ABORT", "COMMIT_PREPARED", "ABORT_PREPARED"].contains(kind) else { continue }
            let isPrepared = kind.hasSuffix("PREPARED")
            let xid: UInt32
            if isPrepared {
                xid = UInt32(words[1].dropLast())!
            } else {
                let tx = line.range(of: "tx: ")!
                xid = UInt32(line[tx.upperBound...].drop { $0 == " " }.prefix { $0.isNumber })!
            }
            let at = isPrepared ? 2 : 1
            let clock = words[at + 1].split(separator: ".")
            let seconds = times.date(from: "\(words[at]) \(clock[0])")!.timeIntervalSince1970
            let fraction = clock.count > 1 ? clock[1] + String(repeating: "0", count: 6 - clock[1].count) : "0"
            let position = String(line[lsn.upperBound...].prefix { $0 != "," })
            if let parent, Self.position(position) < parent.fork { continue }
            ends.append(
                End(
                    xid: xid, lsn: position, time: Int64(seconds) * 1_000_000 + Int64(fraction)!,
                    isCommit: kind.hasPrefix("COMMIT"), isPrepared: isPrepared, hasSubtransactions: line.contains("subxacts:")))
        }
    }

    /// Transactions that are committed at a moment, by PostgreSQL's rule.
    func committed(at moment: Int64) -> Set<UInt32> {
        Set(ends.prefix { $0.time <= moment }.filter(\.isCommit).map(\.xid))
    }

    /// How often a transaction ended in the log behind one with a later time.
    var inversions: Int { zip(ends, ends.dropFirst()).count { $0.time > $1.time } }

    /// The longest time in which nothing ended, in microseconds.
    var longestPause: Int64 { zip(ends, ends.dropFirst()).map { $1.time - $0.time }.max() ?? 0 }

    static func text(_ moment: Int64) -> String {
        let date = Date(timeIntervalSince1970: Double(moment / 1_000_000))
        let format = ISO8601DateFormatter()
        format.formatOptions = [.withFullDate, .withFullTime]
        let text = format.string(from: date)
        let fraction = String(moment % 1_000_000)
        return text.dropLast() + "." + String(repeating: "0", count: 6 - fraction.count) + fraction + "Z"
    }
}

extension LogOracle {
    /// What `text` wrote, in whatever precision.
    static func moment(_ text: String) -> Int64 {
        let parts = text.dropLast().split(separator: ".")
        let seconds = ISO8601DateFormatter().date(from: "\(parts[0])Z")!.timeIntervalSince1970
        let fraction = parts.count > 1 ? String((parts[1] + "000000").prefix(6)) : "0"
        return Int64(seconds) * 1_000_000 + Int64(fraction)!
    }
}
