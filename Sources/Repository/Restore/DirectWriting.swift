import CLinux
import Glibc
import RepoBase

/// Which of a restore's writes go past the page cache (`O_DIRECT`), and their share of it.
///
/// Large restores would push out of the page cache what other programs keep there, and each page that is new to the kernel costs more than
/// the copy into it (docs/adr/0026). What is written first stays in the cache: a small database is read right after its restore.
final class DirectWriting: Sendable {
    /// Shorter stretches are not worth a wait for the device.
    static let minimum = 256 << 10
    /// Pages, not only the device's blocks: the bytes at both ends of a stretch go through the cache, and must not share a page with it.
    static let alignment = UInt64(sysconf(CInt(_SC_PAGESIZE)))

    /// File systems that write such stretches as they write others. Where compression or copies in other places are at stake (btrfs, NFS),
    /// nothing goes past the cache. include/uapi/linux/magic.h; that of XFS is in its own header.
    private static let fileSystems: Set<Int> = [0xef53, 0x5846_5342]

    private struct State {
        var cached: Int
        var isRefused = false
    }
    private let state: Monitor<State>

    /// - Parameter cachedLimit: bytes of large new files that go through the cache first.
    init(cachedLimit: Int) { state = Monitor(State(cached: cachedLimit)) }

    /// Whether a stretch of that many bytes of a new file is to go past the cache.
    func isWanted(_ count: Int) -> Bool {
        guard count >= Self.minimum else { return false }
        return state.withLock { state in
            guard !state.isRefused else { return false }
            guard state.cached > 0 else { return true }
            state.cached -= count
            return false
        }
    }

    /// The device or the file system will not have it: everything goes through the cache from now on.
    func refuse() { state.withLock { $0.isRefused = true } }

    /// Another descriptor of the file that `handle` holds; nil where there can be none.
    func open(_ name: [UInt8], in directory: CInt, sameAs handle: TargetHandle) -> TargetHandle? {
        guard Self.fileSystems.contains(linux_file_system(handle.descriptor)),
            let descriptor = try? TargetCalls.open(name, in: directory, O_WRONLY | O_NONBLOCK | LINUX_O_DIRECT)
        else {
            refuse()
            return nil
        }
        let direct = TargetHandle(descriptor)
        guard let status = try? TargetCalls.status(of: descriptor), let known = try? TargetCalls.status(of: handle.descriptor),
            status.st_ino == known.st_ino, status.st_dev == known.st_dev
        else { return nil }
        return direct
    }
}
