import Glibc
import RepoBase

/// A directory below the target, by its way from there.
///
/// Immutable but for `deinit`, which no one else can see: that makes `@unchecked Sendable` true.
final class TargetDirectory: @unchecked Sendable {
    /// Nil for the target itself.
    private(set) var parent: TargetDirectory?
    let name: [UInt8]

    init(_ name: [UInt8], in parent: TargetDirectory?) {
        self.name = name
        self.parent = parent
    }

    /// Lets go of a long chain one by one: releasing it through nested calls would overflow the stack.
    deinit {
        var next = parent.take()
        while isKnownUniquelyReferenced(&next) { next = next?.parent.take() }
    }

    /// From the snapshot's root, with a slash before each name.
    func path(_ entry: [UInt8]? = nil) -> [UInt8] {
        var names: [[UInt8]] = entry.map { [$0] } ?? []
        var directory = self
        while let parent = directory.parent {
            names.append(directory.name)
            directory = parent
        }
        var path: [UInt8] = []
        for name in names.reversed() {
            path.append(UInt8(ascii: "/"))
            path += name
        }
        return path
    }
}

/// An open descriptor, closed with its last user.
final class TargetHandle: Sendable {
    let descriptor: CInt
    private let closing: ClosingFailure?

    /// - Parameter closing: told where close(2) fails.
    init(_ descriptor: CInt, closing: ClosingFailure? = nil) {
        self.descriptor = descriptor
        self.closing = closing
    }

    deinit {
        // What was written may be refused only then: by a server (NFS, SMB) that has no room. The descriptor is gone all the same, also after EINTR (close(2)).
        if close(descriptor) != 0, errno != EINTR { closing?.note(errno) }
    }
}

/// What closing a file said, whoever closed it.
final class ClosingFailure: Sendable {
    private let number = Monitor<CInt>(0)

    func note(_ number: CInt) { self.number.withLock { $0 = $0 == 0 ? number : $0 } }

    func check() throws(TargetFailure) {
        let number = number.withLock { $0 }
        if number != 0 { throw TargetFailure("write", number) }
    }
}

/// The directories of a target, opened name by name and never through a symbolic link, the most recently used kept open.
final class TargetDirectories: Sendable {
    static let capacity = 128

    private struct State {
        var open: [ObjectIdentifier: (directory: TargetDirectory, handle: TargetHandle, lastUse: UInt64)] = [:]
        var clock: UInt64 = 0
    }

    private let root: TargetHandle
    private let state = Monitor(State())

    init(root: TargetHandle) { self.root = root }

    /// Opens what is not open on the way from the target. Throws where a name on it is no longer a directory.
    func handle(of directory: TargetDirectory) throws(TargetFailure) -> TargetHandle {
        if let known = find(directory) { return known }
        var way: [TargetDirectory] = []
        var at = directory
        var handle = root
        while at.parent != nil {
            if let known = find(at) {
                handle = known
                break
            }
            way.append(at)
            at = at.parent!
        }
        for next in way.reversed() {
            handle = TargetHandle(
                try TargetCalls.open(next.name, in: handle.descriptor, O_RDONLY | O_DIRECTORY))
            keep(next, handle)
        }
        return handle
    }

    /// Before its name is removed: another of that name may follow.
    func forget(_ directory: TargetDirectory) {
        let dropped = state.withLock { $0.open.removeValue(forKey: ObjectIdentifier(directory)) }
        _ = dropped
    }

    private func find(_ directory: TargetDirectory) -> TargetHandle? {
        if directory.parent == nil { return root }
        return state.withLock { state in
            state.clock += 1
            state.open[ObjectIdentifier(directory)]?.lastUse = state.clock
            return state.open[ObjectIdentifier(directory)]?.handle
        }
    }

    private func keep(_ directory: TargetDirectory, _ handle: TargetHandle) {
        // Closed after the lock is released.
        let dropped = state.withLock { state -> (TargetDirectory, TargetHandle, UInt64)? in
            state.clock += 1
            var dropped: (TargetDirectory, TargetHandle, UInt64)?
            if state.open.count >= Self.capacity,
                let oldest = state.open.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                dropped = state.open.removeValue(forKey: oldest.key)
            }
            state.open[ObjectIdentifier(directory)] = (directory, handle, state.clock)
            return dropped
        }
        _ = dropped
    }
}
