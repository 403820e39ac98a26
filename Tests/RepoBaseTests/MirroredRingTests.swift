import RepoBase
import Testing

@Suite struct MirroredRingTests {
    /// One writer, several readers that check and release in any order: what they see is what was written, laps over.
    @Test func bytesStayUntilTheyAreReleased() throws {
        let ring = try MirroredRing(capacity: 2 << 20)
        let queue = BoundedQueue<(position: UInt64, count: Int, seed: UInt8)>(limit: 8)
        let wrong = Monitor(0)
        let readers = (0..<3).map { _ in
            WorkerThread {
                while let piece = queue.pop() {
                    let bytes = UnsafeRawBufferPointer(start: ring.pointer(at: piece.position), count: piece.count)
                    let good = bytes.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0) &+ piece.seed }
                    if !good { wrong.withLock { $0 += 1 } }
                    ring.release(piece.position, count: piece.count)
                }
            }
        }
        var generator = SystemRandomNumberGenerator()
        for round in 0..<400 {
            let count = Int.random(in: 1...100_000, using: &generator)
            let seed = UInt8(truncatingIfNeeded: round)
            let space = try #require(ring.reserve(count + 10, willWait: {}))
            for index in 0..<count { space[index] = UInt8(truncatingIfNeeded: index) &+ seed }
            queue.push((ring.commit(count), count, seed))
        }
        queue.close()
        for reader in readers { reader.join() }
        #expect(wrong.withLock { $0 } == 0)
    }

    @Test func cancelLetsAWaitingWriterGo() throws {
        let ring = try MirroredRing(capacity: 1 << 20)
        _ = ring.reserve(512 << 10, willWait: {})
        ring.commit(512 << 10)
        let thread = WorkerThread { ring.cancel() }
        #expect(ring.reserve(512 << 10, willWait: {}) == nil)
        thread.join()
    }
}
