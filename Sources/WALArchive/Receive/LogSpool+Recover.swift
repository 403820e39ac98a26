import Glibc
import PostgresFormats
import RepoBase

extension LogSpool {
    /// The segment size that the journals tell; nil when there are none.
    func segmentSize() throws(RepoError) -> WALSegmentSize? {
        for name in try journals() {
            var status = stat()
            if stat(journalPath(name), &status) == 0,
                let size = WALSegmentSize(bytes: Int(status.st_size) - 2 * JournalMark.spacing)
            {
                return size
            }
        }
        return nil
    }

    /// Takes up what another process left, at whatever moment it died: histories and journals that are done go to `upload`; the newest journal is returned when
    /// it is not full.
    ///
    /// One that nothing vouches for is set aside and told: what it held is on the server still, or is found missing when the stream begins.
    func recover(
        _ upload: LogUpload, size: WALSegmentSize, report: @Sendable (ReceiveEvent) -> Void
    ) throws(RepoError) -> JournalFile? {
        for timeline in try histories() { upload.store(history: timeline) }
        var newest: JournalFile?
        for name in try journals() {
            let found: JournalFile
            do throws(RepoError) {
                found = try JournalFile(recovering: journalPath(name), name: name, systemIdentifier: systemIdentifier)
                guard found.size == size else {
                    throw RepoError(.damaged, "the journal \(journalPath(name)) is of segments of \(found.size.bytes) bytes, and the server's have \(size.bytes)")
                }
            } catch {
                guard error.code == .damaged else { throw error }
                let aside = try setAside(journalPath(name))
                report(.warning("\(error.message); it was set aside as \(aside)"))
                continue
            }
            hand(newest, to: upload)
            newest = found
        }
        guard let newest, !newest.isFull else {
            hand(newest, to: upload)
            return nil
        }
        return newest
    }

    /// Nothing is received into this one any more.
    private func hand(_ journal: JournalFile?, to upload: LogUpload) {
        guard let journal else { return }
        if journal.isFull { upload.store(journal.segment) } else { upload.store(rest: journal.segment, length: journal.flushed) }
    }
}
