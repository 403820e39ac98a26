import Glibc
import PostgresFormats
import RepoBase

/// Files that are ready to be journals: as long as needed, with every block written and on the disk, so that a flush writes no metadata and
/// cannot find the disk full. One is made ahead by a thread of its own; those of journals that are done are used again.
final class SpareJournals: Sendable {
    private struct State {
        var ready: [String] = []
        /// Why none could be made; told until one could.
        var trouble: RepoError?
        var isClosed = false
        var number = 0
    }
    private let state = Monitor(State())
    private let folder: String
    private let size: WALSegmentSize
    private let worker = Monitor<WorkerThread?>(nil)
    /// Files that are kept beside the journals.
    static let limit = 2
    private static let prefix = "spare-"

    /// Takes up those that another process left.
    init(folder: String, size: WALSegmentSize) {
        self.folder = folder
        self.size = size
        var found: [String] = []
        for name in (try? LocalContent.names(in: folder)) ?? [] where name.hasPrefix(Self.prefix) {
            let path = "\(folder)/\(name)"
            var status = stat()
            let isUsable =
                name != Self.prefix + "new" && found.count < Self.limit && lstat(path, &status) == 0
                && Int(status.st_size) == JournalFile.fileSize(size)
            if isUsable { found.append(path) } else { unlink(path) }
        }
        let ready = found
        state.withLock { $0.ready = ready }
        worker.withLock { [state] in
            $0 = WorkerThread { [folder, size] in
                while Self.waitForNeed(state) {
                    do throws(RepoError) {
                        try Self.make(folder, size, state)
                    } catch {
                        state.update { $0.trouble = error }
                        // The disk may have room again soon.
                        _ = state.wait(upTo: 2) { $0.isClosed }
                    }
                }
            }
        }
    }

    /// Lets the thread end.
    func close() {
        state.update { $0.isClosed = true }
        worker.withLock { $0 }?.join()
    }

    private static func waitForNeed(_ state: Monitor<State>) -> Bool {
        state.wait { state -> Bool? in state.isClosed ? false : state.ready.isEmpty ? true : nil }
    }

    /// The next file; nil when none is ready within a second. `trouble` tells why.
    func take() -> String? {
        _ = state.wait(upTo: 1) { !$0.ready.isEmpty || $0.isClosed }
        return state.update { $0.ready.popLast() }
    }

    var trouble: RepoError? { state.withLock { $0.trouble } }

    /// Takes the file of a journal that is done; it may be deleted.
    func recycle(_ path: String) throws(RepoError) {
        let target: String? = state.withLock { state in
            guard state.ready.count < Self.limit else { return nil }
            return Self.name(folder, &state)
        }
        guard let target else {
            guard unlink(path) == 0 || errno == ENOENT else { throw JournalFile.failure(path, "removed", errno) }
            return
        }
        guard rename(path, target) == 0 else { throw JournalFile.failure(path, "removed", errno) }
        state.update { $0.ready.append(target) }
    }

    private static func name(_ folder: String, _ state: inout State) -> String {
        repeat { state.number += 1 } while access("\(folder)/\(prefix)\(state.number)", F_OK) == 0
        return "\(folder)/\(prefix)\(state.number)"
    }

    /// Writes a file of zeros; durable on return.
    private static func make(_ folder: String, _ size: WALSegmentSize, _ state: Monitor<State>) throws(RepoError) {
        let temporary = "\(folder)/\(prefix)new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw JournalFile.failure(temporary, "made", errno) }
        defer { Glibc.close(file) }
        let zeros = [UInt8](repeating: 0, count: 1 << 18)
        var left = JournalFile.fileSize(size)
        while left > 0 {
            let count = zeros.withUnsafeBytes { write(file, $0.baseAddress, min(left, $0.count)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw JournalFile.failure(temporary, "made", errno) }
            left -= count
        }
        guard fsync(file) == 0 else { throw JournalFile.failure(temporary, "synchronised", errno) }
        let target = state.withLock { name(folder, &$0) }
        guard rename(temporary, target) == 0 else { throw JournalFile.failure(temporary, "renamed", errno) }
        state.update { state in
            state.trouble = nil
            state.ready.append(target)
        }
    }
}
