import Glibc
import RepoBase

/// An object's open file, closed with its last user.
final class OpenedObject: Sendable {
    let descriptor: CInt
    /// While it is open, no other file has the same pair.
    let device: dev_t
    let inode: ino_t

    init(_ descriptor: CInt, _ status: stat) {
        self.descriptor = descriptor
        device = status.st_dev
        inode = status.st_ino
    }

    deinit { close(descriptor) }
}

/// The files read most recently, kept open so that many ranges of one pack cost one open.
///
/// Holds at most 64: enough for the packs that a restore reads side by side, and far below any limit of
/// descriptors. Whoever takes an object from here must compare it with what its path names now.
final class OpenedObjects: Sendable {
    static let capacity = 64

    private struct State {
        var files: [StoreKey: (file: OpenedObject, lastUse: UInt64)] = [:]
        var uses: UInt64 = 0
        var removals: UInt64 = 0
    }

    private let state = Monitor(State())

    func find(_ key: StoreKey) -> OpenedObject? {
        state.withLock { state in
            state.uses += 1
            state.files[key]?.lastUse = state.uses
            return state.files[key]?.file
        }
    }

    /// To be taken before a file is opened that will be kept.
    var removals: UInt64 { state.withLock { $0.removals } }

    /// Keeps a file opened after `removals` was taken, unless something was removed since: it might be that
    /// one.
    func keep(_ file: OpenedObject, _ key: StoreKey, since removals: UInt64) {
        // Closing is left to the end of this call, outside the lock.
        var evicted: OpenedObject?
        state.withLock { state in
            guard state.removals == removals else { return }
            state.uses += 1
            if state.files[key] == nil, state.files.count >= Self.capacity,
                let oldest = state.files.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                evicted = oldest.value.file
                state.files[oldest.key] = nil
            }
            state.files[key] = (file, state.uses)
        }
        _ = evicted
    }

    func remove(_ key: StoreKey) {
        let removed = state.withLock { state in
            state.removals += 1
            return state.files.removeValue(forKey: key)
        }
        _ = removed
    }

    var count: Int { state.withLock { $0.files.count } }
}
