import Glibc
import PostgresFormats
import RepoBase

extension WALPush {
    /// Stores a segment with the queue behind it, batch by batch: each is durable before the next is begun, so that what a crash leaves
    /// has no gap.
    ///
    /// Throws only what concerns the segment itself. What is wrong with those behind it is left to the calls for them, which report it.
    func store(_ queue: QueuedSegments, own: InspectedFile, _ system: UInt64, _ outcome: inout Outcome) throws {
        guard let size = own.segmentSize else { return try store(alone: own, system, &outcome) }
        // The call for one that an earlier call took along.
        if try archive.holds([own.unverified], system: system) {
            outcome.wasThere = true
            return
        }
        var queue = queue
        let start = Self.seconds()
        var first = (name: own.file.name, path: "")
        while true {
            let batch = [first] + queue.takeBatch(with: first.name, size: size)
            let stored: Int
            do {
                stored = try store(batch, own: own, size, system, &outcome)
            } catch {
                // Another file of the batch may be the reason; the own one's fate is decided by itself.
                guard first.name == own.file.name else { return }
                return try store(alone: own, system, &outcome)
            }
            outcome.queued += batch.prefix(stored).map(\.name).filter { $0 != outcome.file }
            // One that cannot be read ends the queue: nothing behind it may be archived before it.
            guard stored == batch.count, !queue.isEmpty, Self.seconds() - start < options.queueSeconds else { return }
            first = queue.following.removeFirst()
        }
    }

    /// Stores a batch up to the first segment that cannot be read or has something wrong with it, and returns how many that is.
    private func store(
        _ batch: [(name: String, path: String)], own: InspectedFile, _ size: WALSegmentSize, _ system: UInt64, _ outcome: inout Outcome
    ) throws -> Int {
        var count = batch.count
        while true {
            let unsound = Monitor(count)
            let files = WALFileSource(
                names: batch.prefix(count).map(\.name), lengths: [Int](repeating: size.bytes, count: count)
            ) { number in
                do {
                    if batch[number].name == own.file.name { return try own.verified() }
                    return try Self.load(batch[number], size, system)
                } catch {
                    unsound.withLock { $0 = min($0, number) }
                    throw error
                }
            }
            do {
                try store(files, size, system, &outcome)
                return count
            } catch {
                // Once more without it and those behind: rare enough to do all the work again.
                let sound = unsound.withLock { $0 }
                guard sound > 0, sound < count else { throw error }
                count = sound
            }
        }
    }

    /// Reads and checks one of the queue.
    private static func load(_ segment: (name: String, path: String), _ size: WALSegmentSize, _ system: UInt64) throws -> WALFile {
        let file = try InspectedFile.read(.segment(name: segment.name), path: segment.path)
        guard file.systemIdentifier == system, file.segmentSize == size else {
            throw RepoError(.damaged, "\(segment.path) belongs to another cluster")
        }
        return try file.verified()
    }

    private static func seconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec
    }
}
