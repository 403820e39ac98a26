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
        // Whoever takes one segment of the log after the other asks for the same size again; stretches of packs differ, and by powers of two one fits for another.
        let size = capacity > largestStretch ? (capacity + hugePage - 1) / hugePage * hugePage : 1 << (Int.bitWidth - (capacity - 1).leadingZeroBitCount)
        let kept = state.withLock { state -> UnsafeMutableRawPointer? in
            guard let base = state.huge[size]?.popLast() else { return nil }
            state.hugeBytes -= size
            return base
        }
        if let kept { return (kept, size) }
        return (map(size), size)
    }

    /// Pages of the kernel's, that go back to it with `munmap`: of megabytes that threads allocate and others free, the allocator keeps more than there ever
    /// were at a time. Traps when the machine has none left.
    private static func map(_ size: Int) -> UnsafeMutableRawPointer {
        let length = size + hugePage
        guard let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), start != MAP_FAILED else {
            fatalError("out of memory for \(size) bytes")
        }
        let before = (hugePage - Int(bitPattern: start) % hugePage) % hugePage
        if before > 0 { munmap(start, before) }
        munmap(start + before + size, hugePage - before)
        // Refused where the kernel was built without: then they are pages like any others.
        _ = madvise(start + before, size, MADV_HUGEPAGE)
        return start + before
    }

    private static let hugePage = 2 << 20
    private static let largestStretch = 8 << 20
    /// Bytes kept in huge pages: two segments of the usual size and what is made of them.
    private static let hugeLimit = 64 << 20

    /// Takes back what `takeHugePages` gave (`isHuge`), or `take`.
    static func put(_ base: UnsafeMutableRawPointer, size: Int, isHuge: Bool = false) {
        if isHuge, size >= hugePage {
            let isKept = state.withLock { state in
                guard state.hugeBytes + size <= hugeLimit else { return false }
                state.huge[size, default: []].append(base)
                state.hugeBytes += size
                return true
            }
            if !isKept { munmap(base, size) }
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

    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        var pointer: UnsafeMutableRawPointer?
        let status = posix_memalign(&pointer, 4096, size)
        guard status == 0, let pointer else { fatalError("out of memory for \(size) bytes") }
        return pointer
    }
}
