import RepoBase
import Testing
@testable import PostgresFormats

@Suite("Segments of a real log: facts, names, damage")
struct SegmentReaderTests {
    let log: RecordedLog
    let size = WALSegmentSize(bytes: 1 << 20)!
    init() throws { log = try RecordedLog.shared.get() }

    private func verify(
        _ name: String, _ bytes: [UInt8], _ extent: WALSegmentReader.Extent = .complete, system: UInt64? = nil
    ) throws -> WALSegmentContents {
        try bytes.withUnsafeBytes {
            try WALSegmentReader.verify(name: name, $0, extent: extent, systemIdentifier: system, object: "segment \(name)")
        }
    }

    private func start(_ name: String) -> LogSequenceNumber { WALSegment(name: name, size: size)!.start(size) }

    /// A segment that the log fills and in which many records begin.
    private func fullSegment() throws -> (String, [UInt8], WALSegmentContents) {
        for name in log.segments.dropFirst() {
            let contents = try verify(name, log.files[name]!)
            if contents.end == .full, contents.records > 2000, contents.facts.continuation != nil, contents.facts.openRecord != nil {
                return (name, log.files[name]!, contents)
            }
        }
        throw RepoError(.failed, "the log has no such segment")
    }

    private func switchedSegment() throws -> (String, [UInt8], WALSegmentContents) {
        for name in log.segments.dropFirst() {
            let contents = try verify(name, log.files[name]!)
            if contents.end == .switched, contents.records > 100 { return (name, log.files[name]!, contents) }
        }
        throw RepoError(.failed, "the log has no such segment")
    }

    @Test("every segment of both timelines is what its name says")
    func names() throws {
        let system = try #require(UInt64(log.controlData["Database system identifier"]!))
        #expect(log.segments.count > 10)
        #expect(log.laterSegments.count >= 2)
        var ends: [WALSegmentEnd] = []
        for name in log.segments + log.laterSegments {
            let contents = try verify(name, log.files[name]!, system: system)
            #expect(contents.identity.start == start(name))
            #expect(contents.identity.segmentSize == size)
            #expect(contents.identity.version == .postgres15)
            #expect(contents.highestTimeline == WALSegment(name: name, size: size)!.timeline)
            ends.append(contents.end)
        }
        #expect(ends.contains(.full) && ends.contains(.switched))
        // The new timeline's first segment begins with the old one's pages.
        let first = log.laterSegments[0]
        #expect(try verify(first, log.files[first]!).identity.timeline == 1)
    }

    @Test("what a promotion left of a segment is read up to its end")
    func partial() throws {
        let name = try #require(log.files.keys.first { $0.hasSuffix(".partial") })
        let segment = String(name.prefix(24))
        let contents = try verify(segment, log.files[name]!, .partial)
        switch contents.end {
        case .zeros, .leftovers: break
        case let other: Issue.record("it ends \(other)")
        }
        let history = try TimelineHistory(log.files["00000002.history"]!, timeline: 2, object: "history")
        let end = try #require(contents.facts.endOfRecords)
        #expect(end >= history.ancestors[0].end)
        #expect(throws: RepoError.self) { try verify(segment, log.files[name]!, .complete) }
    }

    @Test("facts agree with pg_waldump, boundaries included")
    func facts() throws {
        let all = try log.segments.map { try verify($0, log.files[$0]!) }
        let ends = log.records.filter { record in
            record.manager == "Transaction" && ["COMMIT", "ABORT"].contains { record.description.hasPrefix($0) }
        }
        var joined: [WALTransactionEnd] = []
        var boundaries: [WALBoundary] = []
        for (index, contents) in all.enumerated() {
            let begin = contents.identity.start
            let behind = LogSequenceNumber(begin.value + UInt64(size.bytes))
            let here = log.records.filter { $0.position >= begin && $0.position < behind }
            let boundary = WALBoundary(
                after: contents.facts, followedBy: all[(index + 1)...].map(\.facts), start: behind, size: size, version: .postgres15)
            boundaries.append(boundary)
            // pg_waldump does not list a record that lost its rest.
            if case .abandoned(let position) = boundary {
                #expect(contents.facts.openRecord?.position == position && here.last?.position != position)
                continue
            }
            #expect(contents.facts.firstRecord == here.first?.position)
            #expect(contents.facts.restorePoints.map(\.position) == here.filter { $0.description.hasPrefix("RESTORE_POINT") }.map(\.position))
            #expect(contents.facts.checkpoints.map(\.position) == here.filter { $0.description.hasPrefix("CHECKPOINT_") }.map(\.position))
            #expect(contents.facts.switchRecord == here.last { $0.description.hasPrefix("SWITCH") }?.position)
            if let open = contents.facts.openRecord { #expect(open.position == here.last?.position) }
            let mine = ends.filter { $0.position >= begin && $0.position < behind && $0.position != contents.facts.openRecord?.position }
            #expect(contents.facts.transactionEnds == UInt64(mine.count))
            #expect(contents.facts.earliestEnd == mine.compactMap(\.time).min())
            #expect(contents.facts.latestEnd == mine.compactMap(\.time).max())
            #expect(contents.facts.lastEnd == mine.last?.time)
            if case .transactionEnd(let end) = boundary { joined.append(end) }
            #expect(try WALFacts(contents.facts.encoded(), object: "facts") == contents.facts)
        }
        // One byte more than the record has.
        for (index, contents) in all.enumerated() where contents.facts.openRecord != nil && all[index + 1].facts.continuation != nil {
            var next = all[index + 1].facts
            next.continuation?.remaining += 1
            let begin = all[index + 1].identity.start
            let boundary = WALBoundary(after: contents.facts, followedBy: [next], start: begin, size: size, version: .postgres15)
            if case .contradiction = boundary {} else { Issue.record("\(boundary)") }
        }
        let crossing = ends.filter { end in all.contains { $0.facts.openRecord?.position == end.position } }
        #expect(joined.map(\.position) == crossing.map(\.position))
        #expect(joined.map(\.time) == crossing.map(\.time))
        #expect(boundaries.contains { if case .otherRecord = $0 { true } else { false } })
        #expect(boundaries.contains { if case .abandoned = $0 { true } else { false } })
        #expect(!boundaries.contains { if case .contradiction = $0 { true } else { false } })
        // A record of more than two segments.
        #expect(all.contains { $0.facts.firstRecord == nil && $0.facts.endOfRecords == nil })
        #expect(all.reduce(0) { $0 + Int($1.facts.transactionEnds) } + joined.count == ends.count)
    }

    @Test("another name, timeline, cluster or length is refused with what it is")
    func otherNames() throws {
        let (name, bytes, contents) = try fullSegment()
        func message(_ name: String, _ bytes: [UInt8], system: UInt64? = nil) -> String {
            do {
                _ = try verify(name, bytes, system: system)
                return "accepted"
            } catch let error as RepoError { return error.code == .damaged ? error.message : "\(error)" } catch { return "\(error)" }
        }
        let segment = WALSegment(name: name, size: size)!
        #expect(message(segment.next.name(size), bytes).contains(name))
        #expect(message(WALSegment(timeline: 2, number: segment.number).name(size), bytes).contains("nothing in it is of timeline 2"))
        #expect(message(name, bytes, system: 5).contains("another cluster"))
        #expect(message(name, bytes, system: contents.identity.systemIdentifier) == "accepted")
        #expect(message(name, Array(bytes.dropLast())).contains("\(bytes.count - 1) bytes"))
        #expect(message(name, bytes + [0]).contains("\(bytes.count + 1) bytes"))
        #expect(message(name, []).contains("0 bytes"))
        let later = log.laterSegments.last!
        let old = WALSegment(timeline: 1, number: WALSegment(name: later, size: size)!.number).name(size)
        #expect(message(old, log.files[later]!).contains("timeline"))
    }

    @Test("a flipped bit is found wherever one segment alone can show it")
    func flips() throws {
        for (name, bytes, contents) in [try fullSegment(), try switchedSegment()] {
            let begin = contents.identity.start.value
            // A record from before, and one that goes on, have their checksums elsewhere.
            let first = Int(contents.facts.firstRecord!.value - begin)
            let open = contents.facts.openRecord.map { Int($0.position.value - begin) } ?? bytes.count
            var random = SystemRandomNumberGenerator()
            var changed = bytes
            var places = (0..<1500).map { _ in Int.random(in: 0..<bytes.count, using: &random) }
            // Each bit of each page header's fields, on the first page and two others.
            for page in [0, 8192, 40 * 8192] { places += (0..<(page == 0 ? 40 : 24)).map { page + $0 } }
            for place in places {
                let inHeader = place % 8192 < (place < 8192 ? 40 : 24)
                guard inHeader || place >= first && place < open else { continue }
                for bit in inHeader ? Array(0..<8) : [Int.random(in: 0..<8, using: &random)] {
                    // XLP_BKP_REMOVABLE is a hint that nobody checks.
                    if place % 8192 == 2, bit == 2 { continue }
                    // One to seven bytes more or less of a record from before leave the next record where it is; `WALBoundary` tells.
                    if place == 16, bit < 3 { continue }
                    // Which cluster it is of, the caller has to know.
                    if (24..<32).contains(place) { continue }
                    changed[place] ^= 1 << UInt8(bit)
                    defer { changed[place] ^= 1 << UInt8(bit) }
                    do {
                        // A length that grew beyond the segment's end looks like a record that goes on; the next segment tells.
                        let facts = try verify(name, changed).facts
                        let next = log.segments[log.segments.firstIndex(of: name)! + 1]
                        let boundary = WALBoundary(
                            after: facts, followedBy: [try verify(next, log.files[next]!).facts], start: start(next), size: size,
                            version: .postgres15)
                        guard case .contradiction = boundary else {
                            Issue.record("bit \(bit) of byte \(place) of \(name): \(boundary)")
                            continue
                        }
                    } catch let error as RepoError { #expect(error.code == .damaged) }
                }
            }
            #expect(changed == bytes)
        }
    }

    @Test("a page that claims to replace the rest of a record is damaged where no record was under way")
    func replacement() throws {
        var count = 0
        for name in log.segments {
            var bytes = log.files[name]!
            // Up to where the log ends or goes on elsewhere.
            guard try verify(name, bytes).end == .full else { continue }
            for page in stride(from: 8192, to: bytes.count, by: 8192) where bytes[page + 2] & 1 == 0 {
                count += 1
                bytes[page + 2] |= 8
                defer { bytes[page + 2] &= ~8 }
                let error = #expect(throws: RepoError.self) { try verify(name, bytes) }
                #expect(error?.code == .damaged && error?.message.contains("replaces the rest of a record, and none was under way") == true)
            }
        }
        #expect(count > 0)
    }

    @Test("damage is told with byte and position")
    func message() throws {
        var (name, bytes, contents) = try fullSegment()
        bytes[20 * 8192 + 8] ^= 1
        let error = #expect(throws: RepoError.self) { try verify(name, bytes) }
        let position = LogSequenceNumber(contents.identity.start.value + 20 * 8192)
        #expect(error?.message.contains("at byte 163840 (\(position))") == true)
        // Not in a partial file either, since the log goes on behind it.
        #expect(throws: RepoError.self) { try verify(name, bytes, .partial) }
        bytes[8] ^= 1
    }

    @Test("the first bytes of a segment are read as far as they go", arguments: [40, 41, 8192, 8200, 100_000, 333_333, 900_000])
    func beginnings(count: Int) throws {
        let (name, bytes, whole) = try fullSegment()
        let contents = try verify(name, Array(bytes[..<count]), .beginning)
        #expect(contents.end == .cut)
        #expect(contents.records <= whole.records)
        #expect(contents.facts.openRecord == nil)
        if let end = contents.facts.endOfRecords { #expect(end.value <= whole.identity.start.value + UInt64(count) + 7) }
        #expect(throws: RepoError.self) { try verify(name, Array(bytes[..<count]), .complete) }
        guard count < Int(whole.facts.openRecord!.position.value - whole.identity.start.value) else { return }
        // Filled up with zeros as a server would have it.
        let padded = Array(bytes[..<count]) + [UInt8](repeating: 0, count: bytes.count - count)
        if count > 40 {
            let partial = try verify(name, padded, .partial)
            if case .zeros = partial.end {} else if case .leftovers = partial.end {} else { Issue.record("it ends \(partial.end)") }
            #expect(partial.facts.endOfRecords == contents.facts.endOfRecords)
            #expect(throws: RepoError.self) { try verify(name, padded, .complete) }
        }
        // Over what a recycled file held before.
        let older = log.files[log.segments.first { $0 < name }!]!
        let recycled = Array(bytes[..<count]) + older[count...]
        let partial = try verify(name, recycled, .partial)
        #expect(partial.facts.endOfRecords == contents.facts.endOfRecords)
        #expect(throws: RepoError.self) { try verify(name, recycled, .complete) }
    }

    @Test("behind a switch only zeros, or whole pages of an older segment, are accepted")
    func behindSwitch() throws {
        let (name, bytes, contents) = try switchedSegment()
        let position = Int(contents.facts.switchRecord!.value - contents.identity.start.value)
        let rest = (position / 8192 + 1) * 8192
        #expect(bytes[rest...].allSatisfy { $0 == 0 })
        let older = log.files[log.segments.first { $0 < name }!]!
        #expect(try verify(name, Array(bytes[..<rest]) + older[rest...]).end == .switched)
        var changed = bytes
        changed[bytes.count - 1] = 1
        #expect(throws: RepoError.self) { try verify(name, changed) }
        changed = bytes
        changed[position + 24 + 8] = 1
        #expect(throws: RepoError.self) { try verify(name, changed) }
    }

    @Test("other files are refused")
    func others() {
        for bytes in [[], [0], [UInt8](repeating: 0, count: 1 << 20), Array("-- a dump of a database, as large as a header at least".utf8)] {
            #expect(throws: RepoError.self) { try verify("000000010000000000000001", bytes) }
        }
    }
}
