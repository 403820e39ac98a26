import Glibc
import PostgresFormats
import RepoBase

/// The segments that PostgreSQL has ready to be archived behind one that it has handed over, in the order of the log and without a gap.
struct QueuedSegments {
    /// Their paths, by name, ascending.
    var following: [(name: String, path: String)] = []

    var isEmpty: Bool { following.isEmpty }

    /// Nil where there is nothing to queue for: the file is no segment, there is no `archive_status` beside it, or the caller wants none.
    init?(own: InspectedFile, path: String, system: UInt64, archive: WALArchive, options: WALPush.Options) throws {
        guard options.takesQueue, case .segment(let name) = own.file, let size = own.segmentSize,
            let segment = WALSegment(name: name, size: size)
        else { return nil }
        let folder = DataDirectory.parent(of: path)
        var next = segment.next
        while following.count < options.queueLimit {
            let name = next.name(size)
            // Asked one by one: a queue of thousands is not listed for each of its members.
            guard access("\(folder)/archive_status/\(name).ready", F_OK) == 0 else { break }
            following.append((name, "\(folder)/\(name)"))
            next = next.next
        }
    }

    /// Takes from the front what fits into one object with `first`: at most 16 segments, and `byteLimit` bytes.
    mutating func takeBatch(with first: String, size: WALSegmentSize) -> [(name: String, path: String)] {
        let byteLimit = 256 << 20
        let limit = max(1, min(WALObjectName.batchLimit, byteLimit / size.bytes)) - 1
        let prefix = first.prefix(WALObjectName.batchPrefixCount)
        let taken = following.prefix(limit).prefix { $0.name.hasPrefix(prefix) }
        following.removeFirst(taken.count)
        return Array(taken)
    }
}
