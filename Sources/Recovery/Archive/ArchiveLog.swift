public import PostgresFormats
import RepoBase
import Repository
import Storage
public import WALArchive

/// The log of one cluster in a repository, as planning looks at it.
///
/// What there is, is listed once, when this is made; facts come from this machine's cache, or from the objects' beginnings. To be used by one
/// thread.
public final class ArchiveLog: LogView {
    public let archive: WALArchive
    public let systemIdentifier: UInt64
    public let segmentSize: WALSegmentSize
    /// Nil for a version whose log this program does not know: then records across boundaries are read, and not told from facts.
    private let version: WALVersion?
    private let inventory: WALInventory
    private let reader: WALFactsReader
    private var extents: [UInt32: TimelineExtent] = [:]
    /// What promotions left of segments that are not there whole: behind their last whole records.
    private var partials: [WALSegment: (length: UInt32, facts: WALFacts)] = [:]
    /// Facts that no object holds, read out of the segments.
    private var known: [WALSegment: WALFacts] = [:]

    private static let factsLimit = 4096

    /// - Parameter majorVersion: of the server.
    /// One listing; throws what the store throws, and `.damaged` for what a promotion left and does not open.
    public init(_ archive: WALArchive, systemIdentifier: UInt64, segmentSize: WALSegmentSize, majorVersion: Int) throws {
        self.archive = archive
        self.systemIdentifier = systemIdentifier
        self.segmentSize = segmentSize
        version = WALVersion.allCases.first { $0.major == majorVersion }
        inventory = try archive.inventory(of: systemIdentifier)
        reader = WALFactsReader(archive, inventory)
        for timeline in inventory.timelines where timeline.segmentSize == segmentSize || timeline.runs.isEmpty {
            var extent = TimelineExtent()
            for run in timeline.runs { extent.append(run) }
            for (number, length) in timeline.received where !extent.hasWhole(number) {
                extent.received[number] = max(length, extent.received[number] ?? 0)
            }
            for number in timeline.partials where !extent.hasWhole(number) {
                let segment = WALSegment(timeline: timeline.timeline, number: number)
                guard let (length, facts) = try archive.partial(segment, size: segmentSize, system: systemIdentifier), length > extent.received[number] ?? 0 else { continue }
                extent.received[number] = length
                partials[segment] = (length, facts)
            }
            extents[timeline.timeline] = extent
        }
    }

    // MARK: - What is there

    public var timelines: [UInt32] { inventory.timelines.map(\.timeline) }

    public func history(of timeline: UInt32) throws -> TimelineHistory? { try archive.history(of: timeline, system: systemIdentifier) }

    public func extent(of timeline: UInt32) -> TimelineExtent { extents[timeline] ?? TimelineExtent() }

    /// What `wal get` will read a segment from: the objects that hold it whole, one as good as the other, or the longest part of it.
    func objectNames(_ segment: WALSegment) throws -> [WALObjectName] {
        let name = segment.name(segmentSize)
        let whole = inventory[segment.timeline]?.objects(holding: segment.number) ?? []
        if !whole.isEmpty { return whole }
        if partials[segment] != nil { return [.file(.partial(segment: name))] }
        if let length = extent(of: segment.timeline).received[segment.number] { return [.received(segment: name, length: length)] }
        throw RepoError(.notFound, "segment \(name) is not in the archive", advice: "It was there a moment ago: is the log being pruned?")
    }

    // MARK: - Facts

    public func facts(_ segment: WALSegment) throws -> WALFacts {
        if let partial = partials[segment] { return partial.facts }
        if let facts = known[segment] { return facts }
        if extent(of: segment.timeline).hasWhole(segment.number) {
            if let facts = try reader.facts(of: segment) { return facts }
        } else if let name = try objectNames(segment).first,
            let facts = try archive.open(name, system: systemIdentifier).facts().first ?? nil
        {
            known[segment] = facts
            return facts
        }
        // Taken without facts: read now.
        let (content, object) = try content(segment)
        let facts = try withExtendedLifetime(content) { try WALSegmentReader.read(content.bytes, object: object).facts }
        if known.count >= Self.factsLimit { known.removeAll(keepingCapacity: true) }
        known[segment] = facts
        return facts
    }

    public func crossing(_ facts: [WALFacts], start: LogSequenceNumber) throws -> CrossingRecord {
        guard let version, let first = facts.first else { return facts.first?.openRecord == nil ? .none : .unknown }
        switch WALBoundary(after: first, followedBy: facts.dropFirst(), start: start, size: segmentSize, version: version) {
        case .nothing, .abandoned: return .none
        case .transactionEnd(let end): return .transactionEnd(end)
        case .otherRecord: return .other
        case .unfinished: return .continues
        case .unknown: return .unknown
        case .contradiction(let why):
            throw RepoError.damaged("the log of cluster \(systemIdentifier) at \(start)", why)
        }
    }

    // MARK: - Reading

    /// A segment's content as `wal get` will deliver it, without the zeros behind a part, and the object's name. Where several objects hold it, a damaged
    /// one is passed over.
    func content(_ segment: WALSegment) throws -> (AlignedBuffer, object: String) {
        try Self.content(segment.name(segmentSize), try objectNames(segment), archive, systemIdentifier)
    }

    static func content(
        _ segment: String, _ names: [WALObjectName], _ archive: WALArchive, _ system: UInt64, threads: Int = availableProcessors()
    ) throws -> (AlignedBuffer, object: String) {
        var problem: (any Error)?
        for name in names {
            do {
                let reader = try archive.open(name, system: system)
                var file = segment
                if case .file(let own) = name { file = own.name }
                return (try reader.content(of: try reader.place(of: file), threads: threads), "\(reader.description.key)")
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                problem = problem ?? error
            }
        }
        throw problem ?? RepoError(.notFound, "segment \(segment) is not in the archive")
    }

    public func scan(
        _ segments: [WALSegment], from position: LogSequenceNumber, to end: LogSequenceNumber, _ body: (WALEvent) -> Bool
    ) throws -> LogRecordSpan? {
        var scan = WALTransactionScan(from: position)
        for segment in segments {
            let isWhole = extent(of: segment.timeline).hasWhole(segment.number)
            let (content, object) = try content(segment)
            try withExtendedLifetime(content) {
                var bytes = content.bytes
                var extent = isWhole ? WALSegmentReader.Extent.complete : .partial
                let limit = end.value - min(end.value, segment.start(segmentSize).value)
                if limit < UInt64(bytes.count) {
                    bytes = UnsafeRawBufferPointer(rebasing: bytes[..<Int(limit)])
                    extent = .beginning
                }
                guard !bytes.isEmpty else { return }
                try scan.read(bytes, extent: extent, object: object, body)
            }
            if scan.isStopped || scan.fault != nil { break }
        }
        guard let last = scan.lastRecord, last.position >= position else { return nil }
        return LogRecordSpan(position: last.position, end: last.end)
    }
}
