import Glibc
import PostgresFormats
import RepoBase

extension WALGet {
    /// Delivers a timeline's history from the server's own `pg_wal`, where PostgreSQL keeps those that were restored before; false where there is none.
    ///
    /// For when the repository cannot be asked. At the end of a recovery PostgreSQL removes `recovery.signal` and then asks once more for the history of the
    /// timeline that it followed (`writeTimeLineHistory` behind `StartupXLOG`'s unlinking, access/transam/xlog.c of 13 to 15). A failure there ends
    /// the server, and the next start is a crash recovery without the archive: it loses everything that is not in `pg_wal`, silently. Histories never change,
    /// and PostgreSQL itself takes the local one where the archive has none (`RestoreArchivedFile`).
    public static func deliverRestoredHistory(_ name: String, to destination: String) -> Bool {
        guard case .history(let timeline) = ArchivedFile(name: name) else { return false }
        let path = DataDirectory.parent(of: destination) + "/" + name
        guard path != destination, let content = try? LocalContent.read(path, atMost: TimelineHistory.sizeLimit), content.count > 0 else { return false }
        let bytes = withExtendedLifetime(content) { Array(content.bytes) }
        guard (try? TimelineHistory(bytes, timeline: timeline, object: path)) != nil else { return false }
        return (try? LocalContent.publish(content, at: destination)) != nil
    }
}
