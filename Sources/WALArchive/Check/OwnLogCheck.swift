import BlobEngine
import PostgresFormats
import RepoBase
import Repository

/// The log that a base backup brought along (`--with-wal`), in its own `pg_wal`: that each segment is there, is the one that its name says, and
/// that its pages and records are whole, from where replay begins to where the backup is consistent.
///
/// That chunks open and have their ids is the repository's own check; here it is what PostgreSQL will make of them.
struct OwnLogCheck {
    let repository: OpenRepository
    let backup: BaseBackup
    /// Of its snapshot.
    let root: BlobID

    /// What is wrong, in words, and how many bytes were read. A chunk that does not open is left to the repository's check, which names it.
    ///
    /// Reads each segment into memory. Throws what the store throws when it fails.
    func run() throws -> (problems: [String], bytes: UInt64) {
        var problems: [String] = []
        var bytes: UInt64 = 0
        let reader = BlobReader(repository)
        for number in backup.firstSegment...max(backup.firstSegment, backup.lastSegment) {
            let segment = WALSegment(timeline: backup.facts.timeline, number: number)
            let name = segment.name(backup.facts.segmentSize)
            do {
                guard let content = try read("pg_wal/\(name)", reader) else {
                    problems.append("pg_wal/\(name) has not the length of a segment")
                    continue
                }
                bytes += UInt64(content.count)
                try verify(content, segment, name)
            } catch let error as UnsoundLog {
                problems.append(error.problem)
            } catch let error as RepoError where error.code == .notFound {
                problems.append("pg_wal/\(name) is missing, and it brings its own log")
            } catch let error as RepoError where error.code == .damaged {
                continue
            }
        }
        return (problems, bytes)
    }

    private struct UnsoundLog: Error { let problem: String }

    private func read(_ path: String, _ reader: BlobReader) throws -> AlignedBuffer? {
        let size = backup.facts.segmentSize.bytes
        let file = try SnapshotPath.file(root, Array(path.utf8), reader)
        guard file.metadata.size == UInt64(size), let content = file.content else { return nil }
        let buffer = AlignedBuffer(capacity: size, isFilledAtOnce: true)
        try ContentStream(repository).read(content, size: file.metadata.size) { bytes in
            (buffer.base + buffer.count).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
            buffer.count += bytes.count
        }
        return buffer
    }

    /// What stands behind the position at which the backup is consistent is not needed, and on a standby it may be anything.
    private func verify(_ content: AlignedBuffer, _ segment: WALSegment, _ name: String) throws {
        defer { extendLifetime(content) }
        let facts = backup.facts
        let needed = Int(min(UInt64(content.count), facts.stop.value - segment.start(facts.segmentSize).value))
        do throws(RepoError) {
            _ = try WALSegmentReader.verify(
                name: name, UnsafeRawBufferPointer(rebasing: content.bytes[..<needed]), extent: needed == content.count ? .complete : .beginning,
                systemIdentifier: facts.systemIdentifier, object: "its own pg_wal/\(name)")
        } catch {
            throw UnsoundLog(problem: error.message)
        }
    }
}
