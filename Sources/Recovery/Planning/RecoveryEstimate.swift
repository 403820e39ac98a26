import PostgresFormats
public import RepoBase
public import Repository

/// How long a recovery will take, from what a sample of it took just now on this machine.
public struct RecoveryEstimate: Hashable, Sendable {
    /// Bytes of files that the restore reads.
    public let bytes: UInt64
    public let segments: Int
    /// Bytes a second, of the sampled files; nil where there was nothing large enough to tell.
    public let fileRate: Double?
    public let sampledBytes: UInt64
    /// Seconds that fetching one segment took.
    public let segmentSeconds: Double?
    public let sampledSegments: Int

    private static let sampleLimit: UInt64 = 48 << 20
    private static let segmentLimit = 3

    /// Reads up to 48 MiB of the backup's files and three segments.
    public init(_ repository: OpenRepository, _ log: ArchiveLog, _ plan: RecoveryPlan, root: BlobID) throws {
        bytes = plan.backup.bytes
        segments = plan.segments.count
        let clock = ContinuousClock()
        var sampled: UInt64 = 0
        var spent: Duration = .zero
        let stream = ContentStream(repository)
        try TreeListing(BlobReader(repository)).walk(root) { _, entry in
            guard sampled < Self.sampleLimit else { return .skip }
            if entry.subtree != nil { return .descend }
            guard let content = entry.content, entry.metadata.size >= 64 << 10 else { return .skip }
            let begun = clock.now
            do {
                try stream.read(content, size: entry.metadata.size) { bytes in
                    sampled += UInt64(bytes.count)
                    if sampled >= Self.sampleLimit { throw Enough() }
                }
            } catch is Enough {}
            spent += clock.now - begun
            return .skip
        }
        sampledBytes = sampled
        fileRate = sampled >= 1 << 20 ? Double(sampled) / (spent / .seconds(1)) : nil
        let some = plan.segments.suffix(Self.segmentLimit)
        let begun = clock.now
        for segment in some { _ = try log.content(segment) }
        sampledSegments = some.count
        segmentSeconds = some.isEmpty ? nil : (clock.now - begun) / .seconds(1) / Double(some.count)
    }

    private struct Enough: Error {}

    /// Seconds for files and for fetching the log; replay itself is the server's.
    public var seconds: Double? {
        guard let fileRate else { return nil }
        return Double(bytes) / fileRate + Double(segments) * (segmentSeconds ?? 0)
    }
}
