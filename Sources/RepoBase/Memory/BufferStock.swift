import Glibc

/// Memory of buffers that were freed, kept for the next ones of about their size.
///
/// A chunk's plaintext lives for a moment, and there is one after the other. Memory that goes back to the kernel comes again as pages
/// that it has to clear, which cost more than half of the processor time of reading deltas.
enum BufferStock {
    /// Larger buffers are few and live long; smaller ones the allocator keeps by itself.
    private static let sizes = (32 << 10)...(1 << 20)
    /// Bytes kept in all.
    private static let limit = 16 << 20

    private struct State: @unchecked Sendable {
        // What lies here has no other owner. By the logarithm of the size.
        var classes = [[UnsafeMutableRawPointer]](repeating: [], count: 22)
        var bytes = 0
        /// In huge pages: by the size, and their bytes.
        var huge: [Int: [UnsafeMutableRawPointer]] = [:]
        var hugeBytes = 0
    }
    private static let state = Monitor(State(), isProcessWide: true)

    /// Memory of at least `capacity` bytes, aligned to a page, and how large it is. Traps when the machine has none left.
    static func take(_ capacity: Int) -> (base: UnsafeMutableRawPointer, size: Int) {
        guard sizes.contains(capacity) else { return (allocate(capacity), capacity) }
        let log = Int.bitWidth - (capacity - 1).leadingZeroBitCount
        let found = state.withLock { state -> (UnsafeMutableRawPointer, Int)? in
            for log in log...(log + 1) {
                guard let base = state.classes[log].popLast() else { continue }
                state.bytes -= 1 << log
                return (base, 1 << log)
            }
            return nil
        }
        return found ?? (allocate(1 << log), 1 << log)
    }

    /// The same in huge pages, from 2 MiB on, where the system gives them on request (madvise(2), `MADV_HUGEPAGE`).
    static func takeHugePages(_ capacity: Int) -> (base: UnsafeMutableRawPointer, size: Int) {
        guard capacity >= hugePage else { return take(capacity) }
        // Whoever takes one segment of the log after the other asks for the same size again.
        let size = (capacity + hugePage - 1) / hugePage * hugePage
        let kept = state.withLock { state -> UnsafeMutableRawPointer? in
            guard let base = state.huge[size]?.popLast() else { return nil }
            state.hugeBytes -= size
            return base
        }
        if let kept { return (kept, size) }
        let base = allocate(size, alignment: hugePage)
        // Refused where the kernel was built without: then they are pages like any others.
        _ = madvise(base, size, MADV_HUGEPAGE)
        return (base, size)
    }

    private static let hugePage = 2 << 20
    /// Bytes kept in huge pages: two segments of the usual size and what is made of them.
    private static let hugeLimit = 64 << 20

    /// True for what `takeHugePages` gave: whole huge pages at a huge page's beginning.
    private static func isHuge(_ base: UnsafeMutableRawPointer, _ size: Int) -> Bool {
        size >= hugePage && size % hugePage == 0 && Int(bitPattern: base) % hugePage == 0
    }

    /// Takes back what `take` gave.
    static func put(_ base: UnsafeMutableRawPointer, size: Int) {
        if isHuge(base, size) {
            let isKept = state.withLock { state in
                guard state.hugeBytes + size <= hugeLimit else { return false }
                state.huge[size, default: []].append(base)
                state.hugeBytes += size
                return true
            }
            if !isKept { free(base) }
            return
        }
        let isKept = sizes.contains(size) && size.nonzeroBitCount == 1 && state.withLock { state in
            guard state.bytes + size <= limit else { return false }
            state.classes[size.trailingZeroBitCount].append(base)
            state.bytes += size
            return true
        }
        if !isKept { free(base) }
    }

    private static func allocate(_ size: Int, alignment: Int = 4096) -> UnsafeMutableRawPointer {
        var pointer: UnsafeMutableRawPointer?
        let status = posix_memalign(&pointer, alignment, size)
        guard status == 0, let pointer else { fatalError("out of memory for \(size) bytes") }
        return pointer
    }
}
