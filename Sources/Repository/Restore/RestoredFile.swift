import Glibc
import RepoBase

/// A file that is being restored: its place, and how much is still to be written.
final class RestoredFile: Sendable {
    /// What stood in its place and is rewritten where it differs.
    struct Existing: Sendable {
        let device: dev_t
        let inode: ino_t
    }

    struct State {
        /// Chunks to be written, and one while the planner may add more.
        var outstanding = 1
        /// This restore has made the file, or changed it.
        var isTouched = false
        var failure: RestoreProblem?
        var handle: TargetHandle?
        /// Past the page cache; nil also where that was tried in vain.
        var direct: TargetHandle?
        var hasTriedDirect = false
    }

    let directory: TargetDirectory
    let entry: TreeEntry
    let existing: Existing?
    let state = Monitor(State())
    let closing = ClosingFailure()

    init(_ entry: TreeEntry, in directory: TargetDirectory, existing: Existing?) {
        self.entry = entry
        self.directory = directory
        self.existing = existing
    }

    var path: [UInt8] { directory.path(entry.name) }

    var hasFailed: Bool { state.withLock { $0.failure != nil } }

    /// The first failure counts.
    func fail(_ kind: RestoreProblem.Kind, _ message: String) {
        let problem = RestoreProblem(kind, path: path, message: message)
        state.withLock { $0.failure = $0.failure ?? problem }
    }

    /// The open file, made or opened where it is not: exclusively when new, and the one that was looked at when not.
    func handle(_ directories: TargetDirectories) throws(TargetFailure) -> TargetHandle {
        try state.withLock { state throws(TargetFailure) in
            if let handle = state.handle { return handle }
            let parent = try directories.handle(of: directory)
            let handle: TargetHandle
            if existing == nil, !state.isTouched {
                handle = TargetHandle(
                    try TargetCalls.open(entry.name, in: parent.descriptor, O_RDWR | O_CREAT | O_EXCL), closing: closing)
            } else {
                handle = TargetHandle(try TargetCalls.open(entry.name, in: parent.descriptor, O_RDWR | O_NONBLOCK), closing: closing)
                let status = try TargetCalls.status(of: handle.descriptor)
                guard status.isRegularFile else { throw TargetFailure("reopen", EEXIST) }
                if let existing, status.st_ino != existing.inode || status.st_dev != existing.device {
                    throw TargetFailure("reopen", EEXIST)
                }
            }
            state.isTouched = true
            state.handle = handle
            return handle
        }
    }

    /// A descriptor of the new file that writes past the page cache, with the file's size set already; nil where there can be none.
    func directHandle(_ directories: TargetDirectories, _ writing: DirectWriting) throws(TargetFailure) -> TargetHandle? {
        let handle = try handle(directories)
        let parent = try directories.handle(of: directory)
        return try state.withLock { state throws(TargetFailure) in
            if state.hasTriedDirect { return state.direct }
            state.hasTriedDirect = true
            state.direct = writing.open(entry.name, in: parent.descriptor, sameAs: handle)
            // Growing the file with each write would serialise them.
            if state.direct != nil { try TargetCalls.truncate(handle.descriptor, to: entry.metadata.size) }
            return state.direct
        }
    }

    /// One chunk less to write; true when nothing is left.
    func finishOne() -> Bool {
        state.withLock { state in
            state.outstanding -= 1
            return state.outstanding == 0
        }
    }

    func expectOne() { state.withLock { $0.outstanding += 1 } }

    /// Closes what nobody uses any more, before anybody opens it again: `closing` knows by then what that said.
    func closeHandle() {
        state.withLock { state in
            state.handle = nil
            state.direct = nil
            state.hasTriedDirect = false
        }
    }
}

/// Keeps few of the files that are being written open, the most recently used.
final class OpenRestoredFiles: Sendable {
    static let capacity = 64

    private struct State {
        var files: [ObjectIdentifier: (file: RestoredFile, lastUse: UInt64)] = [:]
        var clock: UInt64 = 0
    }

    private let state = Monitor(State())

    func noteUse(_ file: RestoredFile) {
        let evicted = state.withLock { state -> RestoredFile? in
            state.clock += 1
            var evicted: RestoredFile?
            if state.files[ObjectIdentifier(file)] == nil, state.files.count >= Self.capacity,
                let oldest = state.files.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                evicted = state.files.removeValue(forKey: oldest.key)?.file
            }
            state.files[ObjectIdentifier(file)] = (file, state.clock)
            return evicted
        }
        evicted?.closeHandle()
    }

    func remove(_ file: RestoredFile) {
        let removed = state.withLock { $0.files.removeValue(forKey: ObjectIdentifier(file)) }
        _ = removed
    }
}
