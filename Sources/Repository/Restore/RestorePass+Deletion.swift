import Glibc
import RepoBase

extension RestorePass {
    /// Removes what stands in a restored directory and not in the snapshot, as far as it would be restored if it were.
    func removeOthers(_ level: Level, _ tree: BlobID) throws {
        let path = level.directory.path()
        do {
            let handle = try work.directories.handle(of: level.directory)
            var cursor = try TreeCursor(tree, reader)
            for name in try TargetListing.names(handle.descriptor) where try cursor.entry(named: name) == nil {
                try remove(name, in: level.directory)
            }
        } catch let failure as TargetFailure {
            work.report(failure, path)
            try work.check()
        } catch let error as RepoError where error.code == .damaged {
            // Told of already; without the whole directory nothing may go.
        }
    }

    private struct Removal {
        let directory: TargetDirectory
        let device: dev_t
        var names: [[UInt8]]
    }

    /// Removes a file, or a directory with what is in it, never through a link and never on another file system.
    private func remove(_ name: [UInt8], in parent: TargetDirectory) throws {
        var stack: [Removal] = []
        if let below = try removeOrOpen(name, in: parent, device: nil) { stack.append(below) }
        while let last = stack.indices.last {
            if let next = stack[last].names.popLast() {
                let removal = stack[last]
                if let below = try removeOrOpen(next, in: removal.directory, device: removal.device) {
                    stack.append(below)
                }
                continue
            }
            let directory = stack.removeLast().directory
            try work.check()
            try onAction(directory.path(), .deleted)
            if options.isDryRun { work.progress.withLock { $0.deleted += 1 } }
            guard !options.isDryRun, let parent = directory.parent else { continue }
            do throws(TargetFailure) {
                work.directories.forget(directory)
                let handle = try work.directories.handle(of: parent)
                try TargetCalls.unlink(directory.name, in: handle.descriptor, isDirectory: true)
                work.progress.withLock { $0.deleted += 1 }
            } catch {
                // Something in it was to stay.
                if error.number != ENOTEMPTY && error.number != EEXIST { work.report(error, directory.path()) }
            }
        }
    }

    /// Returns a directory that must be emptied first.
    private func removeOrOpen(
        _ name: [UInt8], in parent: TargetDirectory, device: dev_t?
    ) throws -> Removal? {
        let path = parent.path(name)
        do {
            let handle = try work.directories.handle(of: parent)
            guard let status = try TargetCalls.status(name, in: handle.descriptor) else { return nil }
            guard options.selection(path, status.isDirectory) == .restore else { return nil }
            guard status.isDirectory else {
                try onAction(path, .deleted)
                if !options.isDryRun { try TargetCalls.unlink(name, in: handle.descriptor) }
                work.progress.withLock { $0.deleted += 1 }
                return nil
            }
            let holder = try TargetCalls.status(of: handle.descriptor)
            guard status.st_dev == device ?? holder.st_dev else { throw TargetFailure("remove it: it is a mount point", EBUSY) }
            let directory = TargetDirectory(name, in: parent)
            let opened = try work.directories.handle(of: directory)
            return Removal(
                directory: directory, device: status.st_dev,
                names: try TargetListing.names(opened.descriptor))
        } catch let failure as TargetFailure {
            work.report(failure, path)
            return nil
        }
    }
}
