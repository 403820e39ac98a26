import PostgresFormats
import RepoBase

/// A file that PostgreSQL hands over, found to be what its name says.
struct InspectedFile: Sendable {
    let file: ArchivedFile
    let content: AlignedBuffer
    /// Nil for histories and labels, which do not say it.
    let systemIdentifier: UInt64?
    let segmentSize: WALSegmentSize?
    let facts: WALFacts?

    var archived: WALFile { WALFile(name: file.name, content: content, facts: facts) }

    /// Reads and checks it. Throws `.sourceFailed` when it cannot be read, `.damaged` when it is not what its name says.
    init(_ file: ArchivedFile, path: String) throws(RepoError) {
        self.file = file
        content = try LocalContent.read(path)
        switch file {
        case .segment, .partial:
            guard let size = WALSegmentSize(bytes: content.count) else {
                throw RepoError(
                    .damaged, "\(path) is damaged: it has \(content.count) bytes, which is no size of a segment",
                    advice: "It was not archived. PostgreSQL tries again; if that does not help, take a base backup.")
            }
            let bytes = content.bytes
            // XLogLongPageHeaderData: 24 xlp_sysid u64 · 32 xlp_seg_size u32.
            systemIdentifier = withExtendedLifetime(content) { bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self) }
            segmentSize = size
            facts = nil
        case .history, .backupHistory:
            guard content.count > 0, content.count <= 1 << 20 else {
                throw RepoError(.damaged, "\(path) is damaged: it has \(content.count) bytes")
            }
            (systemIdentifier, segmentSize, facts) = (nil, nil, nil)
        }
    }
}
