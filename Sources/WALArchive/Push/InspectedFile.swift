import PostgresFormats
import RepoBase

/// A file that PostgreSQL hands over, read, and on request found to be what its name says.
struct InspectedFile: Sendable {
    let file: ArchivedFile
    let path: String
    let content: AlignedBuffer
    /// Nil for histories and labels, which do not say it.
    let systemIdentifier: UInt64?
    let segmentSize: WALSegmentSize?
    /// What `verified` found to be wrong.
    private let found = Monitor<RepoError?>(nil)

    /// What is wrong with it; nil when nothing is, or nobody has looked.
    var damage: RepoError? { found.withLock { $0 } }

    /// As it is, without its facts.
    var unverified: WALFile { WALFile(name: file.name, content: content, facts: nil) }

    /// Reads it. Throws `.sourceFailed` when it cannot be read, `.damaged` when a segment does not even begin as one.
    static func read(_ file: ArchivedFile, path: String) throws(RepoError) -> InspectedFile {
        let content = try LocalContent.read(path)
        defer { extendLifetime(content) }
        switch file {
        case .segment, .partial:
            let identity = try WALSegmentIdentity(content.bytes, object: path)
            return InspectedFile(
                file: file, path: path, content: content, systemIdentifier: identity.systemIdentifier, segmentSize: identity.segmentSize)
        case .history, .backupHistory:
            return InspectedFile(file: file, path: path, content: content, systemIdentifier: nil, segmentSize: nil)
        }
    }

    private init(file: ArchivedFile, path: String, content: AlignedBuffer, systemIdentifier: UInt64?, segmentSize: WALSegmentSize?) {
        (self.file, self.path, self.content) = (file, path, content)
        (self.systemIdentifier, self.segmentSize) = (systemIdentifier, segmentSize)
    }

    /// Checks all of it, which for a segment of 16 MiB takes 5 ms, and reads its facts. Throws `.damaged`, which `damage` then tells, too.
    func verified() throws(RepoError) -> WALFile {
        do throws(RepoError) {
            return WALFile(name: file.name, content: content, facts: try facts())
        } catch {
            found.withLock { $0 = error }
            throw error
        }
    }

    private func facts() throws(RepoError) -> WALFacts? {
        defer { extendLifetime(content) }
        switch file {
        case .segment(let name): return try WALSegmentReader.verify(name: name, content.bytes, extent: .complete, object: path).facts
        case .partial(let name): return try WALSegmentReader.verify(name: name, content.bytes, extent: .partial, object: path).facts
        case .history(let timeline):
            _ = try TimelineHistory(Array(content.bytes.prefix(TimelineHistory.sizeLimit + 1)), timeline: timeline, object: path)
            return nil
        case .backupHistory:
            // build_backup_content, access/transam/xlogbackup.c.
            guard content.bytes.starts(with: "START WAL LOCATION: ".utf8) else {
                throw .damaged(path, "it does not begin as the label of a backup")
            }
            return nil
        }
    }
}
