import Glibc
import PostgresClient
import PostgresFormats
import RepoBase

/// Makes the server keep the log that a backup needs until the backup has it: a temporary slot, which goes with its connection whatever
/// happens to this process.
final class LogKeeper {
    private let connection: PostgresConnection

    init(_ cluster: ClusterConnection) throws(RepoError) {
        connection = try PostgresConnection(cluster.target, .physicalReplication, cancellation: cluster.replication.cancellation)
        try connection.createPhysicalSlot(
            "repo_\(getpid())_\(UInt32.random(in: 0 ... .max))", isTemporary: true, reservesLog: true)
    }
}

/// The log in a snapshot that restores alone.
enum LogPresence {
    /// Throws unless every segment from where replay begins to where the backup is consistent is there, whole.
    static func require(
        in table: BackupTable, from start: BackupPosition, to stop: BackupPosition, segmentSize: WALSegmentSize
    ) throws(RepoError) {
        var segment = WALSegment(timeline: start.timeline, holding: start.position, size: segmentSize)
        // The stop position may be the first byte behind a segment.
        let last = WALSegment(timeline: start.timeline, holding: LogSequenceNumber(stop.position.value - 1), size: segmentSize)
        while segment <= last {
            let name = segment.name(segmentSize)
            guard let place = table.find(Array("pg_wal/\(name)".utf8)), table.entries[place].size == UInt64(segmentSize.bytes) else {
                throw RepoError(
                    .sourceFailed, "the log's segment \(name) did not come whole with the backup",
                    advice: "No snapshot was made. Run it again.")
            }
            segment = segment.next
        }
    }
}
