import Glibc
import PostgresFormats
import RepoBase

extension WALPush {
    /// Stores a segment with the queue behind it, batch by batch: each is durable before the next is begun, so that what a crash leaves
    /// has no gap.
    ///
    /// Throws only what concerns the segment itself. What is wrong with those behind it is left to the calls for them, which report it.
    func store(_ queue: QueuedSegments, own: InspectedFile, _ system: UInt64, _ outcome: inout Outcome) throws {
        guard let size = own.segmentSize else { return try store([own], system, &outcome) }
        // The call for one that an earlier call took along.
        if try archive.holds([own.archived], system: system) {
            outcome.wasThere = true
            return
        }
        var queue = queue
        let start = Self.seconds()
        var first = own
        while true {
            var batch = [first]
            let taken = queue.takeBatch(with: first.file.name, size: size)
            batch += inspect(taken, system, size)
            // One that cannot be read ends the queue: nothing behind it may be archived before it.
            let isCut = batch.count <= taken.count
            do {
                try store(batch, system, &outcome)
                outcome.queued += batch.map(\.file.name).filter { $0 != outcome.file }
            } catch {
                // Another file of the batch may be the reason; the own one's fate is decided by itself.
                guard first.file == own.file else { return }
                return try store([own], system, &outcome)
            }
            guard !isCut, !queue.isEmpty, Self.seconds() - start < options.queueSeconds else { return }
            let next = queue.following.removeFirst()
            guard let head = inspect([next], system, size).first else { return }
            first = head
        }
    }

    /// Reads and checks segments, several at once; those before the first with which something is wrong.
    private func inspect(
        _ segments: [(name: String, path: String)], _ system: UInt64, _ size: WALSegmentSize
    ) -> [InspectedFile] {
        let found = Monitor([InspectedFile?](repeating: nil, count: segments.count))
        try? ParallelWork.run(segments.count, threads: options.threads, worker: {}) { number, _ in
            let file = try InspectedFile.read(.segment(name: segments[number].name), path: segments[number].path)
            guard file.damage == nil, file.systemIdentifier == system, file.segmentSize == size else {
                throw RepoError(.damaged, "\(segments[number].path) belongs to another cluster")
            }
            found.withLock { $0[number] = file }
        }
        let inspected = found.withLock { $0 }
        return inspected.prefix { $0 != nil }.map { $0! }
    }

    private static func seconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec
    }
}
