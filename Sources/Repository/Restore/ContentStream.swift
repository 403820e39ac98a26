import BlobEngine
public import RepoBase

/// Delivers the bytes of one file in order: `repo cat`.
///
/// The calling thread walks the lists and delivers; workers fetch, open, decode and verify ahead of it. The first batch holds one
/// chunk, so that delivery starts at once, and batches grow from there. Memory: at most `readAhead` bytes of chunks and one more batch.
public struct ContentStream {
    private let repository: OpenRepository
    private let threads: Int
    private let readAhead: Int

    /// Chunks verified side by side: twice the widest hash kernel, so that its lanes stay full though chunks differ in length.
    private static let batchLimit = 32
    private static let batchBytes = 4 << 20
    private static let pendingLimit = 256

    /// - Parameters:
    ///   - threads: that decode; the caller's own comes on top.
    ///   - readAhead: bytes decoded or being decoded and not delivered.
    public init(_ repository: OpenRepository, threads: Int = availableProcessors(), readAhead: Int = 24 << 20) {
        self.repository = repository
        self.threads = max(1, threads)
        self.readAhead = readAhead
    }

    /// Calls `body` with one stretch after another; holes come as zeros. The bytes are valid during the call only.
    ///
    /// Nothing is delivered that was not verified. Throws `.damaged` at the first chunk that does not serve, after all before it were
    /// delivered, and whatever `body` throws.
    public func read(
        _ content: Content, size: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let walker = BlobReader(repository)
        // One small chunk is not worth starting threads.
        if case .chunk(let id) = content {
            let buffer = try walker.read(id, .chunk)
            defer { withExtendedLifetime(buffer) {} }
            guard UInt64(buffer.count) == size else { throw Self.wrongLength(id) }
            return try body(buffer.bytes)
        }
        let work = BoundedQueue<Batch>(limit: Int.max)
        let shared = BlobReader.SharedReading()
        let workers = (0..<threads).map { _ in
            WorkerThread { [repository] in
                let reader = BlobReader(repository, shared: shared)
                while let batch = work.pop() { batch.decode(reader) }
            }
        }
        var pending = PendingBatches()
        defer {
            for batch in pending.batches { batch.cancel() }
            work.close()
            for worker in workers { worker.join() }
        }
        var batch = Batch.Contents()
        var limit = 1
        func submit() {
            guard !batch.pieces.isEmpty else { return }
            let submitted = Batch(batch)
            pending.append(submitted)
            work.push(submitted)
            batch = Batch.Contents()
            limit = min(limit * 2, Self.batchLimit)
        }
        try ContentWalk.entries(of: content, size: size, walker) { entry, _ in
            batch.append(entry)
            if batch.pieces.count >= limit || batch.bytes >= Self.batchBytes { submit() }
            while pending.bytes > readAhead || pending.batches.count > Self.pendingLimit { try pending.removeFirst().deliver(body) }
            // What is done already goes out without waiting for the rest.
            while pending.isFirstDone { try pending.removeFirst().deliver(body) }
            return true
        }
        submit()
        while !pending.batches.isEmpty { try pending.removeFirst().deliver(body) }
    }

    static func wrongLength(_ id: BlobID) -> RepoError {
        .damaged("chunk \(id)", "it does not have the length that its list says")
    }

    private struct PendingBatches {
        private(set) var batches: [Batch] = []
        private(set) var bytes = 0

        var isFirstDone: Bool { batches.first?.isDone ?? false }

        mutating func append(_ batch: Batch) {
            batches.append(batch)
            bytes += batch.contents.bytes
        }

        mutating func removeFirst() -> Batch {
            let batch = batches.removeFirst()
            bytes -= batch.contents.bytes
            return batch
        }
    }

    /// Some consecutive chunks and holes, decoded together.
    private final class Batch: Sendable {
        struct Contents {
            var pieces: [(length: UInt64, id: BlobID?)] = []
            /// Of chunks; holes take no memory.
            var bytes = 0

            mutating func append(_ entry: ContentList.Entry) {
                pieces.append((entry.length, entry.id))
                if entry.id != nil { bytes += Int(clamping: entry.length) }
            }
        }

        private enum State {
            case waiting
            case cancelled
            case done([Result<AlignedBuffer, RepoError>])
            case failed(any Error)
        }

        let contents: Contents
        private let state = Monitor(State.waiting)

        init(_ contents: Contents) { self.contents = contents }

        func decode(_ reader: BlobReader) {
            if state.withLock({ if case .cancelled = $0 { true } else { false } }) { return }
            do {
                let buffers = try reader.read(contents.pieces.compactMap(\.id), .chunk)
                state.update { $0 = .done(buffers) }
            } catch {
                state.update { $0 = .failed(error) }
            }
        }

        func cancel() {
            state.withLock { if case .waiting = $0 { $0 = .cancelled } }
        }

        var isDone: Bool {
            state.withLock { if case .done = $0 { true } else { false } }
        }

        func deliver(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
            let results = try state.wait { state throws -> [Result<AlignedBuffer, RepoError>]? in
                switch state {
                case .waiting, .cancelled: return nil
                case .done(let buffers): return buffers
                case .failed(let error): throw error
                }
            }
            var next = 0
            for piece in contents.pieces {
                guard let id = piece.id else {
                    try Self.zeros(piece.length, body)
                    continue
                }
                let buffer = try results[next].get()
                next += 1
                guard UInt64(buffer.count) == piece.length else { throw ContentStream.wrongLength(id) }
                try body(buffer.bytes)
                withExtendedLifetime(buffer) {}
            }
        }

        private static let zeroes = [UInt8](repeating: 0, count: 1 << 18)

        private static func zeros(
            _ length: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
        ) throws {
            var left = length
            try zeroes.withUnsafeBytes { zeroes in
                while left > 0 {
                    let count = Int(min(left, UInt64(zeroes.count)))
                    try body(UnsafeRawBufferPointer(rebasing: zeroes[..<count]))
                    left -= UInt64(count)
                }
            }
        }
    }
}
