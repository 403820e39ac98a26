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
    /// What is wrong with it; nil when nothing is.
    let damage: RepoError?

    var archived: WALFile { WALFile(name: file.name, content: content, facts: facts) }

    /// Reads and checks it. Throws `.sourceFailed` when it cannot be read, `.damaged` when it is not even a file of the log; what is wrong
    /// with one that is, is told by `damage`.
    static func read(_ file: ArchivedFile, path: String) throws(RepoError) -> InspectedFile {
        let content = try LocalContent.read(path)
        switch file {
        case .segment(let name): return try segment(file, content, name, .complete, path)
        case .partial(let name): return try segment(file, content, name, .partial, path)
        case .history(let timeline):
            let bytes = withExtendedLifetime(content) { Array(content.bytes.prefix(TimelineHistory.sizeLimit + 1)) }
            return other(file, content, damage: problem { () throws(RepoError) in _ = try TimelineHistory(bytes, timeline: timeline, object: path) })
        case .backupHistory:
            // build_backup_content, access/transam/xlogbackup.c.
            let isLabel = withExtendedLifetime(content) { content.bytes.starts(with: "START WAL LOCATION: ".utf8) }
            return other(file, content, damage: isLabel ? nil : .damaged(path, "it does not begin as the label of a backup"))
        }
    }

    private static func problem(_ body: () throws(RepoError) -> Void) -> RepoError? {
        do {
            try body()
            return nil
        } catch { return error }
    }

    private static func other(_ file: ArchivedFile, _ content: AlignedBuffer, damage: RepoError?) -> InspectedFile {
        InspectedFile(file: file, content: content, systemIdentifier: nil, segmentSize: nil, facts: nil, damage: damage)
    }

    private static func segment(
        _ file: ArchivedFile, _ content: AlignedBuffer, _ name: String, _ extent: WALSegmentReader.Extent, _ path: String
    ) throws(RepoError) -> InspectedFile {
        defer { extendLifetime(content) }
        let identity = try WALSegmentIdentity(content.bytes, object: path)
        var facts: WALFacts?
        let damage = problem { () throws(RepoError) in
            facts = try WALSegmentReader.verify(name: name, content.bytes, extent: extent, object: path).facts
        }
        return InspectedFile(
            file: file, content: content, systemIdentifier: identity.systemIdentifier, segmentSize: identity.segmentSize, facts: facts,
            damage: damage)
    }
}
