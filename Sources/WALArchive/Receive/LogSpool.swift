import Glibc
import PostgresFormats
public import RepoBase

/// The folder of one receiver on this machine: journals of segments that are not in the repository yet, histories that are not, and files to
/// be journals (format.md, appendix C). What is acknowledged to the server is here until it is in the repository, so it is no cache.
public final class LogSpool: Sendable {
    public let folder: String
    public let systemIdentifier: UInt64
    private let lock: CInt

    /// Makes the folder where it is missing, and holds it for this process until it ends. Throws `.failed` when another one does.
    public init(folder: String, systemIdentifier: UInt64) throws(RepoError) {
        self.folder = folder
        self.systemIdentifier = systemIdentifier
        do throws(RepoError) { try LocalContent.makeFolder(folder) } catch { throw Self.unusable(folder, error) }
        let path = folder + "/lock"
        lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Self.unusable(folder, LocalContent.failure(path, "opened", errno)) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let holder = (try? LocalContent.read(path, atMost: 64)).map { content in
                withExtendedLifetime(content) { String(decoding: content.bytes, as: UTF8.self) }
            }
            close(lock)
            throw RepoError(
                .failed, "the spool \(folder) is used by another 'repo wal receive'\(holder.map { $0.isEmpty ? "" : " (process \($0))" } ?? "")",
                advice: "One receiver for each cluster is enough; give a second one a slot and a --spool of its own.")
        }
        let text = "\(getpid())"
        ftruncate(lock, 0)
        _ = pwrite(lock, text, text.utf8.count, 0)
    }

    /// Unlocked by word: a child that another thread is just starting holds the same open file for a moment, and with it the lock.
    deinit {
        flock(lock, LOCK_UN)
        close(lock)
    }

    private static func unusable(_ folder: String, _ error: RepoError) -> RepoError {
        RepoError(
            .usage, "the spool \(folder) cannot be used: \(error.message)",
            advice: "Name a folder that this user may write to by --spool; under systemd, StateDirectory= makes one.")
    }

    static let journalSuffix = ".journal"

    func journalPath(_ name: String) -> String { "\(folder)/\(name)\(Self.journalSuffix)" }
    func historyPath(_ timeline: UInt32) -> String { "\(folder)/\(ArchivedFile.history(timeline: timeline).name)" }

    /// Names of the segments that have journals, ascending.
    func journals() throws(RepoError) -> [String] {
        try LocalContent.names(in: folder).compactMap { name in
            guard name.hasSuffix(Self.journalSuffix), case .segment(let segment) = ArchivedFile(name: String(name.dropLast(Self.journalSuffix.count)))
            else { return nil }
            return segment
        }.sorted()
    }

    /// Timelines whose histories wait here, ascending.
    func histories() throws(RepoError) -> [UInt32] {
        try LocalContent.names(in: folder).compactMap { name in
            guard case .history(let timeline) = ArchivedFile(name: name) else { return nil }
            return timeline
        }.sorted()
    }

    /// Keeps a history until it is in the repository; durable on return.
    func keepHistory(_ timeline: UInt32, _ content: [UInt8]) throws(RepoError) {
        let buffer = AlignedBuffer(capacity: content.count)
        buffer.base.copyMemory(from: content, byteCount: content.count)
        buffer.count = content.count
        let path = historyPath(timeline)
        do throws(RepoError) { try LocalContent.publish(buffer, at: path) } catch { throw RepoError(.failed, error.message, advice: error.advice) }
        try JournalFile.synchroniseFolder(of: path)
    }

    /// Puts a file that cannot be used out of the way, for people to look at. Returns its new path.
    @discardableResult
    func setAside(_ path: String) throws(RepoError) -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let target = "\(path).\(now.tv_sec).damaged"
        guard rename(path, target) == 0 else { throw JournalFile.failure(path, "set aside", errno) }
        try JournalFile.synchroniseFolder(of: path)
        return target
    }
}
