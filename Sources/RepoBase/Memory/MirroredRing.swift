import CLinux
import Glibc

/// A ring of bytes mapped twice in a row, so that every stretch of it, also one across its end, is contiguous.
///
/// One thread writes, in order: `reserve`, then `commit`. What was committed is read by any threads, and given
/// back by `release`, in any order and in pieces; space is reused once everything in its 256 KiB block was released.
/// Positions count bytes since the start and never wrap. The bookkeeping is behind a monitor, and a byte range has one writer,
/// then only readers, then nobody: that is what makes `@unchecked Sendable` true.
public final class MirroredRing: @unchecked Sendable {
    public static let blockSize = 256 << 10
    public let capacity: Int
    private let base: UnsafeMutableRawPointer

    private struct State {
        /// Bytes of each block that are not released yet.
        var held: [Int]
        /// Where the next reservation begins.
        var head: UInt64 = 0
        /// Blocks before this position (in blocks since the start) have been entered by the writer.
        var entered: UInt64 = 0
        var isCancelled = false
    }
    private let state: Monitor<State>

    /// - Parameter capacity: bytes; rounded up to whole blocks. Throws `.failed` when the memory cannot be mapped.
    public init(capacity: Int) throws(RepoError) {
        let blocks = (capacity + Self.blockSize - 1) / Self.blockSize
        let size = blocks * Self.blockSize
        let file = linux_memfd_create("repo-ring")
        guard file >= 0 else { throw Self.failure("memfd_create") }
        defer { close(file) }
        guard ftruncate(file, size) == 0 else { throw Self.failure("ftruncate") }
        guard
            let area = mmap(nil, size * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), area != MAP_FAILED
        else { throw Self.failure("mmap") }
        for half in 0..<2 {
            let wanted = area + half * size
            let mapped = mmap(wanted, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0)
            guard mapped == wanted else {
                munmap(area, size * 2)
                throw Self.failure("mmap")
            }
        }
        base = area
        self.capacity = size
        state = Monitor(State(held: Array(repeating: 0, count: blocks)))
    }

    deinit { munmap(base, capacity * 2) }

    private static func failure(_ call: String) -> RepoError {
        RepoError(
            .failed, "cannot get memory for the read buffer: \(call): \(String(cString: strerror(errno)))",
            advice: "Free some memory, or allow more (ulimit -v).")
    }

    /// The bytes from a position on; valid from commit to release. Contiguous for up to `capacity` bytes.
    public func pointer(at position: UInt64) -> UnsafeMutableRawPointer {
        base + Int(position % UInt64(capacity))
    }

    /// Where the next bytes go.
    public var head: UInt64 { state.withLock { $0.head } }

    /// Waits for `count` bytes of free space after the head (at most half the capacity), and returns where they
    /// are. Nil when cancelled. `willWait` runs once, unlocked, before the first wait: a writer that batches hands over
    /// its batch there, since what it waits for may be in it.
    public func reserve(_ count: Int, willWait: () -> Void) -> UnsafeMutableRawBufferPointer? {
        precondition(count <= capacity / 2 && capacity >= 4 * Self.blockSize)
        if let space = state.withLock({ tryReserve(count, &$0) }) { return space.buffer }
        willWait()
        return state.wait { tryReserve(count, &$0) }.buffer
    }

    private struct Space { let buffer: UnsafeMutableRawBufferPointer? }

    private func tryReserve(_ count: Int, _ state: inout State) -> Space? {
        if state.isCancelled { return Space(buffer: nil) }
        let blocks = UInt64(state.held.count)
        let last = (state.head + UInt64(max(count, 1)) - 1) / UInt64(Self.blockSize)
        while state.entered <= last {
            let slot = Int(state.entered % blocks)
            // The block behind must be free too: who scans its first bytes looks at the last ones of this block.
            guard state.held[slot] == 0, state.held[(slot + 1) % state.held.count] == 0 else { return nil }
            state.held[slot] = Self.blockSize
            state.entered += 1
        }
        return Space(
            buffer: UnsafeMutableRawBufferPointer(start: pointer(at: state.head), count: count))
    }

    /// Moves the head over `count` written bytes and returns where they begin.
    @discardableResult
    public func commit(_ count: Int) -> UInt64 {
        state.withLock { state in
            defer { state.head += UInt64(count) }
            return state.head
        }
    }

    /// Gives back `count` bytes from `position` on; each byte once.
    public func release(_ position: UInt64, count: Int) {
        guard count > 0 else { return }
        state.update { state in
            var at = position
            let end = position + UInt64(count)
            while at < end {
                let block = at / UInt64(Self.blockSize)
                let stop = min(end, (block + 1) * UInt64(Self.blockSize))
                let slot = Int(block % UInt64(state.held.count))
                state.held[slot] -= Int(stop - at)
                precondition(state.held[slot] >= 0, "ring bytes released twice")
                at = stop
            }
        }
    }

    /// Lets a waiting writer go, with nothing.
    public func cancel() { state.update { $0.isCancelled = true } }
}
