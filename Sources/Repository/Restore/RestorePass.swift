import BlobEngine
import Glibc
import RepoBase

/// Goes through the snapshot and plans: makes directories and small things itself, and hands files to the threads window by window.
final class RestorePass {
    let reader: BlobReader
    let options: RestoreOptions
    let work: RestoreWork
    let onAction: ([UInt8], RestoreAction) throws -> Void
    var levels: [Level]
    var window = RestoreWindow()

    /// A directory on the way down.
    struct Level {
        let directory: TargetDirectory
        /// Nil for the root, whose metadata is the target's own business.
        let entry: TreeEntry?
        let decision: RestoreDecision
        /// It stands in the target (in a dry run: stood there before).
        var exists: Bool
        /// It stood there before this restore.
        var stoodThere: Bool
        /// It could not be made: nothing below can be restored.
        var isBlocked = false
        /// Its tree did not read to the end.
        var isDamaged = false
    }

    /// What waits until the files of the window are written.
    struct Deferred {
        var links: [Link] = []
        /// Deepest first, as they were left.
        var directories: [(directory: TargetDirectory, metadata: FileMetadata, stoodThere: Bool)] = []
    }

    struct Link {
        let from: (directory: TargetDirectory, name: [UInt8])
        let directory: TargetDirectory
        let name: [UInt8]
    }

    struct HardLinkKey: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    var deferred = Deferred()
    /// Of the window that the threads are at.
    private var previous = Deferred()
    /// The first name of each file with several, and how many names are still to come.
    var hardLinks: [HardLinkKey: (directory: TargetDirectory, name: [UInt8], left: UInt64)] = [:]

    init(
        _ reader: BlobReader, _ options: RestoreOptions, work: RestoreWork, targetExists: Bool,
        onAction: @escaping ([UInt8], RestoreAction) throws -> Void
    ) {
        self.reader = reader
        self.options = options
        self.work = work
        self.onAction = onAction
        levels = [
            Level(
                directory: TargetDirectory([], in: nil), entry: nil, decision: .restore, exists: targetExists,
                stoodThere: targetExists)
        ]
    }

    func run(_ root: BlobID) throws {
        try TreeListing(reader).walk(
            root,
            onProblem: { path, error in
                levels[levels.count - 1].isDamaged = true
                work.report(
                    RestoreProblem(.damage, path: path, message: "\(error.message); what is below is not restored"))
            },
            leave: { _, tree in try leave(tree) },
            visit: { path, entry in try visit(path, entry) })
        try flush()
        try settle()
    }

    private func visit(_ path: [UInt8], _ entry: TreeEntry) throws -> TreeListing.Next {
        try work.check()
        let decision = options.selection(path, entry.subtree != nil)
        guard decision != .skip, !levels[levels.count - 1].isBlocked else { return .skip }
        do {
            if entry.subtree != nil {
                guard let level = try enter(path, entry, decision) else { return .skip }
                levels.append(level)
                return .descend
            }
            if decision == .restore, try makeLevels() {
                switch entry.payload {
                case .file(let content): try restoreFile(path, entry, content)
                case .symbolicLink(let target): try restoreLink(path, entry, target)
                case .special: try restoreSpecial(path, entry)
                case .directory: break
                }
            }
        } catch let failure as TargetFailure {
            work.report(failure, path)
            try work.check()
        } catch let error as RepoError where error.code == .damaged {
            work.report(RestoreProblem(.damage, path: path, message: error.message))
        }
        if window.isFull { try flush() }
        return .skip
    }

    // MARK: - Windows

    /// Hands the planned window to the threads, after the one before is written and what waited for it is done.
    func flush() throws {
        let batches = window.batches()
        try settle()
        previous = deferred
        deferred = Deferred()
        work.submit(batches)
    }

    private func settle() throws {
        try work.settle()
        let settled = previous
        previous = Deferred()
        for link in settled.links { makeLink(link) }
        for (directory, metadata, stoodThere) in settled.directories {
            do throws(TargetFailure) {
                let handle = try work.directories.handle(of: directory)
                for failure in work.metadata.apply(
                    metadata, to: handle.descriptor, removesOthers: stoodThere || work.inheritsAttributes)
                {
                    work.report(RestoreProblem(.metadata, path: directory.path(), message: failure))
                }
            } catch {
                work.report(error, directory.path())
            }
        }
        try work.check()
    }

    // MARK: - Directories

    /// Nil when nothing below can be restored, which was told of.
    private func enter(_ path: [UInt8], _ entry: TreeEntry, _ decision: RestoreDecision) throws -> Level? {
        let parent = levels[levels.count - 1]
        var level = Level(
            directory: TargetDirectory(entry.name, in: parent.directory), entry: entry, decision: decision,
            exists: false, stoodThere: false)
        var isReplaced = false
        if parent.exists, let status = try status(entry.name, in: parent) {
            if status.isDirectory {
                level.exists = true
                level.stoodThere = true
                if decision == .restore, !options.isDryRun { try openUp(level.directory, status) }
                work.note(level.directory, on: status.st_dev)
            } else if try !mayReplace(path) {
                return nil
            } else if decision == .restore {
                isReplaced = true
                try removeFile(entry.name, in: parent.directory)
            }
        }
        guard decision == .restore else { return level }
        try onAction(path, level.stoodThere ? .unchanged : isReplaced ? .updated : .created)
        if !level.stoodThere {
            guard try makeLevels() else { return nil }
            try make(&level)
        }
        work.progress.withLock { $0.directories += 1 }
        return level
    }

    /// Makes the directories on the way that were put off because nothing in them was wanted yet. False when that failed before.
    func makeLevels() throws(TargetFailure) -> Bool {
        guard !options.isDryRun else { return true }
        for index in levels.indices where !levels[index].exists {
            if levels[index].isBlocked { return false }
            do throws(TargetFailure) {
                // What is there is no directory, or it would exist.
                if index > 0, try status(levels[index].directory.name, in: levels[index - 1]) != nil {
                    try removeFile(levels[index].directory.name, in: levels[index - 1].directory)
                }
                try make(&levels[index])
            } catch {
                levels[index].isBlocked = true
                throw error
            }
        }
        return true
    }

    private func make(_ level: inout Level) throws(TargetFailure) {
        guard !options.isDryRun, let parent = level.directory.parent else { return }
        let handle = try work.directories.handle(of: parent)
        try TargetCalls.makeDirectory(level.directory.name, in: handle.descriptor)
        level.exists = true
    }

    /// A directory without rights for its owner cannot be filled; it gets the snapshot's mode in the end.
    private func openUp(_ directory: TargetDirectory, _ status: stat) throws(TargetFailure) {
        guard status.permissions & 0o700 != 0o700 else { return }
        let handle = try work.directories.handle(of: directory)
        _ = fchmod(handle.descriptor, mode_t(status.permissions | 0o700))
    }

    private func leave(_ tree: BlobID) throws {
        let level = levels.removeLast()
        guard !level.isBlocked else { return }
        if options.deletes, level.decision == .restore, level.stoodThere, !level.isDamaged {
            try removeOthers(level, tree)
        }
        guard !options.isDryRun, level.exists, let entry = level.entry,
            level.decision == .restore || !level.stoodThere
        else { return }
        deferred.directories.append((level.directory, entry.metadata, level.stoodThere))
        if deferred.directories.count >= RestoreWindow.fileLimit { try flush() }
    }

    // MARK: - What stands in the target

    func status(_ name: [UInt8], in level: Level) throws(TargetFailure) -> stat? {
        guard level.exists else { return nil }
        let handle = try work.directories.handle(of: level.directory)
        return try TargetCalls.status(name, in: handle.descriptor)
    }

    /// Anything but a directory that holds something.
    func removeFile(_ name: [UInt8], in directory: TargetDirectory) throws(TargetFailure) {
        guard !options.isDryRun else { return }
        let handle = try work.directories.handle(of: directory)
        do {
            try TargetCalls.unlink(name, in: handle.descriptor)
        } catch {
            guard error.number == EISDIR || error.number == EPERM else { throw error }
            try TargetCalls.unlink(name, in: handle.descriptor, isDirectory: true)
        }
    }
}
