import CLinux
import Glibc
import RepoBase

/// Memory for keys: locked into RAM as far as the limit of locked memory allows (mlock(2)), left out of core dumps (MADV_DONTDUMP), and apart from what
/// else the process keeps. Slots are handed out and taken back; whoever has one wipes it before.
///
/// Where nothing can be locked, keys are kept all the same: `isLocked` tells.
enum SecretMemory {
    /// Bytes of a slot. Longer secrets have pages of their own.
    static let slotSize = 64
    private static let arenaSize = 64 << 10

    private struct Slots {
        var free: [UnsafeMutableRawPointer] = []
        var isLocked = true
    }
    private static let slots = Monitor(Slots(), isProcessWide: true)

    /// Whether all memory for secrets so far is locked.
    static var isLocked: Bool { slots.withLock { $0.isLocked } }

    static func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
        guard count > 0 else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        guard count <= slotSize else { return UnsafeMutableRawBufferPointer(start: map(rounded(count)), count: count) }
        return slots.withLock { slots in
            if slots.free.isEmpty {
                let arena = map(arenaSize, &slots.isLocked)
                slots.free = stride(from: arenaSize - slotSize, through: 0, by: -slotSize).map { arena + $0 }
            }
            return UnsafeMutableRawBufferPointer(start: slots.free.removeLast(), count: count)
        }
    }

    /// Takes back what was wiped.
    static func release(_ memory: UnsafeMutableRawBufferPointer) {
        guard let base = memory.baseAddress else { return }
        if memory.count <= slotSize {
            slots.withLock { $0.free.append(base) }
        } else {
            munmap(base, rounded(memory.count))
        }
    }

    private static func rounded(_ count: Int) -> Int {
        let page = sysconf(Int32(_SC_PAGESIZE))
        return (count + page - 1) / page * page
    }

    private static func map(_ size: Int) -> UnsafeMutableRawPointer {
        var isLocked = true
        defer { if !isLocked { slots.withLock { $0.isLocked = false } } }
        return map(size, &isLocked)
    }

    private static func map(_ size: Int, _ isLocked: inout Bool) -> UnsafeMutableRawPointer {
        guard let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED else {
            fatalError("out of memory for a key")
        }
        if mlock(memory, size) != 0 { isLocked = false }
        madvise(memory, size, LINUX_MADV_DONTDUMP)
        return memory
    }
}
