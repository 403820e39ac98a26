import BlobEngine
import Glibc
import RepoBase

/// The file in which a machine keeps what it has seen (format.md, appendix F). Shared by processes.
///
/// Unlike the cache it cannot be made again: without it a machine is like one that never saw the repository.
struct SeenFile: Sendable {
    let path: String

    init(folder: String, repository: RepositoryID, location: String) {
        let place = "\(ObjectHasher.hash(Array(location.utf8)))".prefix(16)
        path = "\(folder)/seen/\(repository)-\(place)"
    }

    /// What was seen; empty where there is nothing yet. Throws `.damaged` for a file that does not read.
    func load() throws(RepoError) -> SeenState {
        guard access(path, F_OK) == 0 else { return SeenState() }
        guard let bytes = LocalFolder.contents(path, atMost: SeenState.byteLimit) else { throw .damaged(path, "it cannot be read") }
        return try SeenState(bytes, object: path)
    }

    /// Changes what is remembered, one process after another, and returns it. It is durable when this returns, unless told otherwise. A damaged file is set aside
    /// under its name with `.damaged` behind it. Throws `.failed` where the folder cannot be written.
    @discardableResult
    func update(durably: Bool = true, _ change: (inout SeenState) -> Void) throws(RepoError) -> SeenState {
        let folder = String(path[..<path.lastIndex(of: "/")!])
        try LocalFolder.make(folder)
        let lock = open("\(folder)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw Self.failure("open", "\(folder)/lock") }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw Self.failure("lock", "\(folder)/lock") }
        }
        var before: SeenState?
        do {
            before = try load()
        } catch {
            rename(path, path + ".damaged")
        }
        var state = before ?? SeenState()
        change(&state)
        if state != before {
            try LocalFolder.replace(path, with: state.encoded(), durably: durably)
        }
        return state
    }

    private static func failure(_ what: String, _ path: String) -> RepoError {
        RepoError(.failed, "cannot \(what) \(path): \(String(cString: strerror(errno)))", advice: "Name another folder with REPO_STATE_DIR.")
    }
}
