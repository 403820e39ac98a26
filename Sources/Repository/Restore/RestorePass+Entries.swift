import BlobEngine
import CLinux
import Glibc
import RepoBase

extension RestorePass {
    private var level: Level { levels[levels.count - 1] }

    /// Whether what stands there gives way. Tells of it where not.
    func mayReplace(_ path: [UInt8]) throws -> Bool {
        switch options.overwrite {
        case .always, .ifChanged: return true
        case .never:
            work.progress.withLock { $0.kept += 1 }
            try onAction(path, .kept)
            return false
        case nil:
            // The target was empty when the restore began.
            throw TargetFailure("restore: something else has put a file here meanwhile", EEXIST)
        }
    }

    // MARK: - Files

    func restoreFile(_ path: [UInt8], _ entry: TreeEntry, _ content: Content) throws {
        let metadata = entry.metadata
        if metadata.linkCount > 1 {
            let key = HardLinkKey(device: metadata.device, inode: metadata.inode)
            if let first = hardLinks[key] {
                hardLinks[key] = first.left > 1 ? (first.directory, first.name, first.left - 1) : nil
                return try restoreHardLink(path, entry, (first.directory, first.name))
            }
            hardLinks[key] = (level.directory, entry.name, metadata.linkCount - 1)
        }
        guard let status = try status(entry.name, in: level) else {
            try onAction(path, .created)
            return try writeFile(path, entry, content, existing: nil)
        }
        guard try mayReplace(path) else {
            // Other names must not be linked to what stands there.
            hardLinks[HardLinkKey(device: metadata.device, inode: metadata.inode)] = nil
            return
        }
        guard status.isRegularFile else {
            try onAction(path, .updated)
            try removeFile(entry.name, in: level.directory)
            return try writeFile(path, entry, content, existing: nil)
        }
        let isTakenAsSame =
            options.overwrite == .ifChanged && UInt64(status.st_size) == metadata.size
            && status.modified == metadata.modificationTime
        if isTakenAsSame, status.st_nlink == 1 || work.metadata.isAsRecorded(status, metadata) {
            return try keepContent(path, entry, status)
        }
        if status.st_nlink > 1 {
            // Its other names may be anywhere: it is never written to.
            if work.metadata.isAsRecorded(status, metadata), try hasContent(entry, content, status) {
                return try keepContent(path, entry, status)
            }
            try onAction(path, .updated)
            try removeFile(entry.name, in: level.directory)
            return try writeFile(path, entry, content, existing: nil)
        }
        if options.isDryRun { return try compareFile(path, entry, content, status) }
        try rewriteFile(path, entry, content, status)
    }

    /// The content is there; the metadata is set where it differs.
    private func keepContent(_ path: [UInt8], _ entry: TreeEntry, _ status: stat) throws {
        try onAction(path, .unchanged)
        work.progress.withLock { progress in
            progress.filesDone += 1
            progress.filesUnchanged += 1
            progress.bytesDone += entry.metadata.size
        }
        guard !options.isDryRun else { return }
        if work.metadata.isAsRecorded(status, entry.metadata), entry.metadata.extendedAttributes.isEmpty { return }
        let parent = try work.directories.handle(of: level.directory)
        let handle = TargetHandle(
            try TargetCalls.open(entry.name, in: parent.descriptor, O_RDONLY | O_NONBLOCK))
        guard try TargetCalls.status(of: handle.descriptor).st_ino == status.st_ino else {
            throw TargetFailure("reopen", EEXIST)
        }
        for failure in work.metadata.apply(entry.metadata, to: handle.descriptor, removesOthers: true) {
            work.report(RestoreProblem(.metadata, path: path, message: failure))
        }
    }

    /// Plans all of a new file.
    private func writeFile(
        _ path: [UInt8], _ entry: TreeEntry, _ content: Content, existing: RestoredFile.Existing?
    ) throws {
        let file = RestoredFile(entry, in: level.directory, existing: existing)
        var number = window.add(file)
        do {
            try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { chunk, offset in
                try plan(chunk, at: offset, of: file, &number)
                return true
            }
        } catch let error as RepoError where error.code == .damaged {
            file.fail(.damage, error.message)
        }
        endPlanning(file)
    }

    /// Plans one chunk, and hands the window on when it is full.
    private func plan(
        _ chunk: ContentList.Entry, at offset: UInt64, of file: RestoredFile, _ number: inout UInt32
    ) throws {
        guard let id = chunk.id else {
            work.progress.withLock { $0.bytesDone += chunk.length }
            return
        }
        let location = try location(of: id, length: chunk.length)
        guard !options.isDryRun else { return countChunk(chunk, isWritten: true) }
        if window.isFull {
            try flush()
            number = window.add(file)
        }
        file.expectOne()
        window.add(id, length: chunk.length, at: offset, file: number, location)
    }

    private func location(of id: BlobID, length: UInt64) throws -> BlobLocation {
        guard
            let location = try work.repository.index().locations(of: id).first(where: { $0.record.type == .chunk })
        else { throw RepoError.damaged("chunk \(id)", "no index segment names it") }
        guard UInt64(location.record.rawLength) == length else {
            throw RepoError.damaged("chunk \(id)", "it does not have the length that its list says")
        }
        return location
    }

    private func endPlanning(_ file: RestoredFile) {
        if options.isDryRun {
            if let failure = file.state.withLock({ $0.failure }) {
                work.report(failure)
            } else {
                work.progress.withLock { $0.filesDone += 1 }
            }
            return
        }
        if file.finishOne() { work.finish(file, reader) }
    }

    /// Compares what is there chunk by chunk and plans what differs.
    private func rewriteFile(_ path: [UInt8], _ entry: TreeEntry, _ content: Content, _ status: stat) throws {
        let parent = try work.directories.handle(of: level.directory)
        let descriptor: CInt
        do throws(TargetFailure) {
            descriptor = try TargetCalls.open(entry.name, in: parent.descriptor, O_RDWR | O_NONBLOCK)
        } catch {
            // Not even its owner may write to it: it is made anew.
            guard error.number == EACCES || error.number == ETXTBSY else { throw error }
            try onAction(path, .updated)
            try removeFile(entry.name, in: level.directory)
            return try writeFile(path, entry, content, existing: nil)
        }
        let handle = TargetHandle(descriptor)
        let opened = try TargetCalls.status(of: descriptor)
        guard opened.isRegularFile, opened.st_nlink == 1 else { throw TargetFailure("reopen", EEXIST) }
        let file = RestoredFile(
            entry, in: level.directory, existing: .init(device: opened.st_dev, inode: opened.st_ino))
        var number = window.add(file)
        var isChanged = UInt64(opened.st_size) != entry.metadata.size
        let comparison = ContentComparison(descriptor, work.repository.blobHasher) { chunk, offset, isSame in
            if isSame {
                self.work.progress.withLock { $0.bytesDone += chunk.length }
            } else {
                isChanged = true
                try self.plan(chunk, at: offset, of: file, &number)
            }
        }
        do {
            try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { chunk, offset in
                if chunk.id == nil {
                    let end = offset + chunk.length
                    if try TargetCalls.clear(descriptor, offset..<end, fileSize: UInt64(opened.st_size)) {
                        isChanged = true
                    }
                    work.progress.withLock { $0.bytesDone += chunk.length }
                } else {
                    try comparison.add(chunk, at: offset)
                }
                return true
            }
            try comparison.flush()
        } catch let error as RepoError where error.code == .damaged {
            file.fail(.damage, error.message)
        }
        withExtendedLifetime(handle) {}
        try onAction(path, isChanged ? .updated : .unchanged)
        if !isChanged { work.progress.withLock { $0.filesUnchanged += 1 } }
        endPlanning(file)
    }

    private func countChunk(_ chunk: ContentList.Entry, isWritten: Bool) {
        work.progress.withLock { progress in
            progress.bytesDone += chunk.length
            if isWritten { progress.bytesWritten += chunk.length }
        }
    }

    /// What `rewriteFile` would do, in a dry run.
    private func compareFile(_ path: [UInt8], _ entry: TreeEntry, _ content: Content, _ status: stat) throws {
        let parent = try work.directories.handle(of: level.directory)
        let handle = TargetHandle(
            try TargetCalls.open(entry.name, in: parent.descriptor, O_RDONLY | O_NONBLOCK))
        defer { withExtendedLifetime(handle) {} }
        var isChanged = UInt64(status.st_size) != entry.metadata.size
        let comparison = ContentComparison(handle.descriptor, work.repository.blobHasher) { chunk, _, isSame in
            isChanged = isChanged || !isSame
            self.countChunk(chunk, isWritten: !isSame)
        }
        try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { chunk, offset in
            guard chunk.id == nil else {
                try comparison.add(chunk, at: offset)
                return true
            }
            let data = lseek(handle.descriptor, off_t(offset), LINUX_SEEK_DATA)
            if data >= 0, UInt64(data) < offset + chunk.length { isChanged = true }
            countChunk(chunk, isWritten: false)
            return true
        }
        try comparison.flush()
        work.progress.withLock { progress in
            progress.filesDone += 1
            if !isChanged { progress.filesUnchanged += 1 }
        }
        try onAction(path, isChanged ? .updated : .unchanged)
    }

    /// Whether a file has the content already, byte for byte, holes aside.
    private func hasContent(_ entry: TreeEntry, _ content: Content, _ status: stat) throws -> Bool {
        guard UInt64(status.st_size) == entry.metadata.size else { return false }
        let parent = try work.directories.handle(of: level.directory)
        let handle = TargetHandle(
            try TargetCalls.open(entry.name, in: parent.descriptor, O_RDONLY | O_NONBLOCK))
        defer { withExtendedLifetime(handle) {} }
        var isSame = true
        let comparison = ContentComparison(handle.descriptor, work.repository.blobHasher) { _, _, same in
            isSame = isSame && same
        }
        try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { chunk, offset in
            if chunk.id == nil {
                let data = lseek(handle.descriptor, off_t(offset), LINUX_SEEK_DATA)
                isSame = isSame && (data < 0 || UInt64(data) >= offset + chunk.length)
            } else {
                try comparison.add(chunk, at: offset)
            }
            return isSame
        }
        try comparison.flush()
        return isSame
    }

    // MARK: - Hard links

    private func restoreHardLink(
        _ path: [UInt8], _ entry: TreeEntry, _ first: (directory: TargetDirectory, name: [UInt8])
    ) throws {
        if let status = try status(entry.name, in: level) {
            guard try mayReplace(path) else { return }
            let parent = try work.directories.handle(of: first.directory)
            let original = try TargetCalls.status(first.name, in: parent.descriptor)
            let isLinked = original.map { $0.st_ino == status.st_ino && $0.st_dev == status.st_dev } ?? false
            try onAction(path, isLinked ? .unchanged : .updated)
        } else {
            try onAction(path, .created)
        }
        guard !options.isDryRun else { return work.progress.withLock { $0.hardLinks += 1 } }
        deferred.links.append(Link(from: first, directory: level.directory, name: entry.name))
        if deferred.links.count >= RestoreWindow.fileLimit { try flush() }
    }

    /// After the first name's content is written.
    func makeLink(_ link: Link) {
        do throws(TargetFailure) {
            let from = try work.directories.handle(of: link.from.directory)
            let to = try work.directories.handle(of: link.directory)
            guard let original = try TargetCalls.status(link.from.name, in: from.descriptor),
                original.isRegularFile
            else { throw TargetFailure("link it to '\(PathText.describe(link.from.directory.path(link.from.name)))'", ENOENT) }
            if let status = try TargetCalls.status(link.name, in: to.descriptor) {
                if status.st_ino == original.st_ino, status.st_dev == original.st_dev {
                    work.progress.withLock { $0.hardLinks += 1 }
                    return
                }
                try removeFile(link.name, in: link.directory)
            }
            _ = try TargetCalls.perform("link") {
                link.from.name.withTerminated { old in
                    link.name.withTerminated { Int(linkat(from.descriptor, old, to.descriptor, $0, 0)) }
                }
            }
            work.progress.withLock { $0.hardLinks += 1 }
        } catch {
            work.report(error, link.directory.path(link.name))
        }
    }

    // MARK: - Symbolic links and devices

    func restoreLink(_ path: [UInt8], _ entry: TreeEntry, _ target: [UInt8]) throws {
        if let status = try status(entry.name, in: level) {
            guard try mayReplace(path) else { return }
            let parent = try work.directories.handle(of: level.directory)
            if status.st_mode & S_IFMT == S_IFLNK, Self.linkTarget(entry.name, in: parent.descriptor) == target {
                try onAction(path, .unchanged)
            } else {
                try onAction(path, .updated)
                try removeFile(entry.name, in: level.directory)
                try makeSymbolicLink(entry.name, target)
            }
        } else {
            try onAction(path, .created)
            try makeSymbolicLink(entry.name, target)
        }
        work.progress.withLock { $0.otherEntries += 1 }
        guard !options.isDryRun else { return }
        let parent = try work.directories.handle(of: level.directory)
        report(work.metadata.apply(entry.metadata, toLink: entry.name, in: parent.descriptor), path)
    }

    private func makeSymbolicLink(_ name: [UInt8], _ target: [UInt8]) throws(TargetFailure) {
        guard !options.isDryRun else { return }
        let parent = try work.directories.handle(of: level.directory)
        _ = try TargetCalls.perform("make the symbolic link") {
            target.withTerminated { target in
                name.withTerminated { Int(symlinkat(target, parent.descriptor, $0)) }
            }
        }
    }

    private static func linkTarget(_ name: [UInt8], in directory: CInt) -> [UInt8]? {
        let room = Int(PATH_MAX) + 1
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: room) { buffer, filled in
            count = name.withTerminated { name in
                buffer.withMemoryRebound(to: CChar.self) { readlinkat(directory, name, $0.baseAddress!, room) }
            }
            filled = max(0, count)
        }
        return count > 0 && count < room ? bytes : nil
    }

    func restoreSpecial(_ path: [UInt8], _ entry: TreeEntry) throws {
        let metadata = entry.metadata
        let (kind, device): (mode_t, dev_t) =
            switch metadata.type {
            case .blockDevice: (S_IFBLK, Self.number(metadata.deviceNumber))
            case .characterDevice: (S_IFCHR, Self.number(metadata.deviceNumber))
            default: (S_IFIFO, 0)
            }
        var isThere = false
        if let status = try status(entry.name, in: level) {
            guard try mayReplace(path) else { return }
            isThere = status.st_mode & S_IFMT == kind && (kind == S_IFIFO || status.st_rdev == device)
            try onAction(path, isThere ? .unchanged : .updated)
            if !isThere { try removeFile(entry.name, in: level.directory) }
        } else {
            try onAction(path, .created)
        }
        work.progress.withLock { $0.otherEntries += 1 }
        guard !options.isDryRun else { return }
        let parent = try work.directories.handle(of: level.directory)
        if !isThere {
            _ = try TargetCalls.perform(kind == S_IFIFO ? "make the fifo" : "make the device") {
                entry.name.withTerminated { Int(mknodat(parent.descriptor, $0, kind | 0o600, device)) }
            }
        }
        report(try work.metadata.apply(metadata, toSpecial: entry.name, in: parent.descriptor), path)
    }

    private func report(_ failures: [String], _ path: [UInt8]) {
        for failure in failures { work.report(RestoreProblem(.metadata, path: path, message: failure)) }
    }

    /// As gnu_dev_makedev(3), which is a macro.
    private static func number(_ device: DeviceNumber) -> dev_t {
        let (major, minor) = (UInt64(device.major), UInt64(device.minor))
        return dev_t(
            (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff)
    }
}
