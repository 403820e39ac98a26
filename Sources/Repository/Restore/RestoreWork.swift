import BlobEngine
import CLinux
import Glibc
import RepoBase

/// The threads of a restore: they fetch, verify and write chunks, and finish each file with its last one.
final class RestoreWork: Sendable {
    let repository: OpenRepository
    let directories: TargetDirectories
    let metadata: TargetMetadata
    let progress: Monitor<RestoreProgress>
    private let options: RestoreOptions
    /// New files inherit ACLs from the target.
    let inheritsAttributes: Bool
    private let openFiles = OpenRestoredFiles()
    private let direct: DirectWriting
    private let queue = BoundedQueue<RestoreBatch>(limit: Int.max)
    private let state = Monitor(State())
    private let workers = Monitor<[WorkerThread]>([])
    /// Where the store is far away.
    private let fetching: RestoreFetching?
    /// A directory that stood there on each of the file systems that were met, by device.
    private let fileSystems = Monitor<[dev_t: TargetDirectory]>([:])

    private struct State {
        var pending = 0
        var failure: (any Error)?
        var problems: [RestoreProblem] = []
        var metadataProblems: UInt64 = 0
    }

    init(
        _ repository: OpenRepository, _ options: RestoreOptions, directories: TargetDirectories,
        inheritsAttributes: Bool, progress: Monitor<RestoreProgress>
    ) {
        self.repository = repository
        self.options = options
        self.directories = directories
        self.inheritsAttributes = inheritsAttributes
        self.progress = progress
        direct = DirectWriting(cachedLimit: options.cachedLimit)
        metadata = TargetMetadata(OwnerNumbers(isNumeric: options.usesNumericOwners))
        let shared = BlobReader.SharedReading()
        fetching =
            repository.isRemote
            ? RestoreFetching(repository.store, isNeeded: { [state] in state.withLock { $0.failure == nil } }, deliver: { [queue] in queue.push($0) }) : nil
        workers.withLock { workers in
            workers = (0..<Self.threads(options, repository)).map { _ in
                WorkerThread { [self] in
                    let reader = BlobReader(repository, shared: shared)
                    let stretch = FileStretch(limit: RestoreWindow.batchBytes + BlobRecord.maximumRawLength)
                    while let batch = queue.pop() {
                        if !hasFailed { write(batch, reader, stretch) }
                        state.update { $0.pending -= 1 }
                    }
                }
            }
        }
    }

    /// Bases of deltas are read when they are needed, and on a remote store that is waiting for a round trip: more threads decode and write at once.
    private static let remoteThreads = 8

    private static func threads(_ options: RestoreOptions, _ repository: OpenRepository) -> Int {
        max(1, repository.isRemote ? max(options.threads, remoteThreads) : options.threads)
    }

    var hasFailed: Bool { state.withLock { $0.failure != nil } }

    /// Throws what has stopped the restore.
    func check() throws {
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    func submit(_ batches: [RestoreBatch]) {
        state.withLock { $0.pending += batches.count }
        guard let fetching else {
            for batch in batches { queue.push(batch) }
            return
        }
        fetching.submit(batches)
    }

    /// Waits until everything submitted is written.
    func settle() throws {
        state.wait { $0.pending == 0 ? () : nil }
        try check()
    }

    /// Ends the threads, after what was submitted.
    func stop() {
        fetching?.stop()
        queue.close()
        let threads = workers.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
    }

    /// Drops what was submitted and not begun, then ends the threads.
    func abandon(_ error: any Error) {
        state.withLock { $0.failure = $0.failure ?? error }
        stop()
    }

    func note(_ directory: TargetDirectory, on device: dev_t) {
        fileSystems.withLock { if $0[device] == nil { $0[device] = directory } }
    }

    /// Brings everything to the disk (syncfs(2), which says since Linux 5.8 what could not be written since the descriptor was opened): what was taken over
    /// by the page cache may still be lost, and nobody would hear of it. Throws `.failed`.
    func synchronise(_ target: RestoreTarget) throws {
        guard let root = target.root else { return }
        let own = try TargetCalls.status(of: root.descriptor).st_dev
        try synchronise(root, target.path)
        for (device, directory) in fileSystems.withLock({ $0 }) where device != own {
            try synchronise(directories.handle(of: directory), target.path + directory.path())
        }
    }

    private func synchronise(_ handle: TargetHandle, _ path: [UInt8]) throws(RepoError) {
        guard linux_syncfs(handle.descriptor) == 0 else {
            throw RepoError(
                .failed, "'\(PathText.describe(path))': \(TargetFailure("bring everything to the disk").message)",
                advice: "Do not rely on what was restored. Look at the kernel's log (dmesg), and run the restore again with '--overwrite always', which compares all content, or onto another disk.")
        }
    }

    var problems: (list: [RestoreProblem], metadataCount: UInt64) {
        state.withLock { ($0.problems, $0.metadataProblems) }
    }

    func report(_ problem: RestoreProblem) {
        state.withLock { state in
            if problem.kind == .metadata {
                state.metadataProblems += 1
                guard state.metadataProblems <= RestoreResult.metadataProblemLimit else { return }
            }
            state.problems.append(problem)
        }
        progress.withLock { $0.problems += 1 }
    }

    /// A failure on one entry: the restore goes on, unless it would be the same for every other.
    func report(_ failure: TargetFailure, _ path: [UInt8]) {
        if failure.isFatal {
            state.withLock { $0.failure = $0.failure ?? failure.error(path) }
        } else {
            report(RestoreProblem(.target, path: path, message: failure.message))
        }
    }

    private func write(_ batch: RestoreBatch, _ reader: BlobReader, _ stretch: FileStretch) {
        do {
            let results = try reader.read(batch.chunks.map(\.id), .chunk, fetched: batch.fetched)
            for (chunk, result) in zip(batch.chunks, results) {
                for use in chunk.uses {
                    switch result {
                    case .success(let buffer) where buffer.count == Int(use.length):
                        // `results` holds the buffers until the stretch is written, below at the latest.
                        if !stretch.append(buffer.bytes, to: use.file, at: use.offset) {
                            write(stretch, reader)
                            _ = stretch.append(buffer.bytes, to: use.file, at: use.offset)
                        }
                    case .success:
                        use.file.fail(.damage, "chunk \(chunk.id) does not have the length that its list says")
                        if use.file.finishOne() { finish(use.file, reader) }
                    case .failure(let error):
                        use.file.fail(.damage, error.message)
                        if use.file.finishOne() { finish(use.file, reader) }
                    }
                }
            }
            write(stretch, reader)
            withExtendedLifetime(results) {}
        } catch {
            state.withLock { $0.failure = $0.failure ?? error }
        }
    }

    /// Writes and empties the stretch, and finishes its file where that was the last of it.
    private func write(_ stretch: FileStretch, _ reader: BlobReader) {
        guard let file = stretch.file else { return }
        let chunks = stretch.chunks.count
        if !file.hasFailed {
            do throws(TargetFailure) {
                try write(stretch, to: file)
                let count = UInt64(stretch.count)
                progress.withLock { progress in
                    progress.bytesWritten += count
                    progress.bytesDone += count
                }
                // A file of one stretch is finished at once.
                if file.entry.metadata.size != count { openFiles.noteUse(file) }
            } catch {
                failed(file, error)
            }
        }
        stretch.clear()
        for _ in 0..<chunks where file.finishOne() { finish(file, reader) }
    }

    private func write(_ stretch: FileStretch, to file: RestoredFile) throws(TargetFailure) {
        let handle = try file.handle(directories)
        if file.existing == nil, direct.isWanted(stretch.count), let past = try file.directHandle(directories, direct) {
            if try stretch.write(to: handle.descriptor, past: past.descriptor) { return }
            direct.refuse()
        }
        try stretch.write(to: handle.descriptor)
    }

    private func failed(_ file: RestoredFile, _ failure: TargetFailure) {
        if failure.isFatal {
            state.withLock { $0.failure = $0.failure ?? failure.error(file.path) }
        }
        file.fail(.target, failure.message)
    }

    /// Everything is written: sets the size, verifies, sets the metadata. A new file that is not whole is removed.
    func finish(_ file: RestoredFile, _ reader: BlobReader) {
        defer {
            openFiles.remove(file)
            file.closeHandle()
        }
        if !file.hasFailed {
            do {
                try complete(file, reader)
                file.closeHandle()
                try file.closing.check()
            } catch let failure as TargetFailure {
                failed(file, failure)
            } catch let error as RepoError where error.code == .damaged {
                file.fail(.damage, error.message)
            } catch {
                state.withLock { $0.failure = $0.failure ?? error }
                return
            }
        }
        let (failure, isTouched) = file.state.withLock { ($0.failure, $0.isTouched) }
        guard let failure else {
            progress.withLock { $0.filesDone += 1 }
            return
        }
        var message = failure.message
        if isTouched {
            if file.existing == nil {
                if let parent = try? directories.handle(of: file.directory) {
                    try? TargetCalls.unlink(file.entry.name, in: parent.descriptor)
                }
            } else {
                message += "; the file that was there holds both old and restored content now"
            }
        }
        report(RestoreProblem(failure.kind, path: failure.path, message: message))
    }

    private func complete(_ file: RestoredFile, _ reader: BlobReader) throws {
        let handle = try file.handle(directories)
        defer { withExtendedLifetime(handle) {} }
        let descriptor = handle.descriptor
        let entry = file.entry
        let status = try TargetCalls.status(of: descriptor)
        if UInt64(status.st_size) != entry.metadata.size { try TargetCalls.truncate(descriptor, to: entry.metadata.size) }
        if options.verifies { try verify(entry, descriptor, reader) }
        for failure in metadata.apply(
            entry.metadata, to: descriptor, removesOthers: inheritsAttributes || file.existing != nil)
        {
            report(RestoreProblem(.metadata, path: file.path, message: failure))
        }
    }

    private func verify(_ entry: TreeEntry, _ descriptor: CInt, _ reader: BlobReader) throws {
        guard let content = entry.content else { return }
        // From the device where that is possible, not from memory.
        guard fdatasync(descriptor) == 0 else { throw TargetFailure("write") }
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        let comparison = ContentComparison(descriptor, repository.blobHasher) { chunk, offset, isSame in
            guard isSame else {
                throw RepoError(
                    .damaged, "\(chunk.length) bytes from \(offset) read back otherwise than they were written")
            }
        }
        try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { chunk, offset in
            try comparison.add(chunk, at: offset)
            return true
        }
        try comparison.flush()
    }
}
