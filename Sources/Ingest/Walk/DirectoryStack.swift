import Glibc

/// The directories from a root down to where a walk is, of which only the deepest few are open.
///
/// Invariant: the open ones are the deepest, without a gap, except that the deepest may have been lost.
struct DirectoryStack: ~Copyable {
    struct Frame {
        var listing: DirectoryListing
        /// Position in `listing` of what comes next.
        var next = 0
        /// -1 while closed.
        var descriptor: CInt
        let device: UInt64
        let inode: UInt64
        /// How much of the walk's path names this directory.
        let pathCount: Int
        /// Its name in its parent; for the root, what to open from the working directory.
        let name: [UInt8]
        /// Take nothing but the tag.
        let isTaggedCache: Bool
        let clusterOffset: Int?
        var isComplete: Bool
    }

    private(set) var frames: [Frame] = []
    private let maximumOpen: Int
    private let calls: FileSystemCalls
    /// Frames before this one are closed.
    private var firstOpen = 0

    init(maximumOpen: Int, calls: FileSystemCalls) {
        self.maximumOpen = max(2, maximumOpen)
        self.calls = calls
    }

    deinit {
        for frame in frames where frame.descriptor >= 0 { close(frame.descriptor) }
    }

    var depth: Int { frames.count }
    var isEmpty: Bool { frames.isEmpty }

    /// The deepest directory. Traps when there is none.
    var top: Frame {
        _read { yield frames[frames.count - 1] }
        _modify { yield &frames[frames.count - 1] }
    }

    /// Adds a directory and closes the one furthest up if too many are open.
    mutating func push(_ frame: Frame) {
        frames.append(frame)
        if frames.count - firstOpen > maximumOpen {
            closeFrame(firstOpen)
            firstOpen += 1
        }
    }

    /// Takes the deepest directory away and makes sure that the one above is open again.
    ///
    /// - Returns: the frame, closed, and whether its parent, if it has one, is open.
    mutating func pop() -> (frame: Frame, isParentOpen: Bool) {
        let frame = frames.removeLast()
        defer { if frame.descriptor >= 0 { close(frame.descriptor) } }
        guard let parent = frames.last, parent.descriptor < 0 else { return (frame, true) }
        firstOpen = frames.count - 1
        if frame.descriptor >= 0, let descriptor = reopened("..", in: frame.descriptor, as: parent) {
            top.descriptor = descriptor
        } else if let descriptor = reopenedFromRoot() {
            // The directory below was moved to another place while it was walked.
            top.descriptor = descriptor
        }
        return (frame, top.descriptor >= 0)
    }

    private mutating func closeFrame(_ index: Int) {
        if frames[index].descriptor >= 0 { close(frames[index].descriptor) }
        frames[index].descriptor = -1
    }

    /// Opens what must be the directory of `frame`, or nothing where it is another one.
    private func reopened(_ name: String, in directory: CInt, as frame: Frame) -> CInt? {
        let result = name.withCString {
            calls.open($0, in: directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        }
        return result >= 0 ? verified(CInt(result), as: frame) : nil
    }

    private func verified(_ descriptor: CInt, as frame: Frame) -> CInt? {
        var status = stat()
        if calls.status(of: descriptor, into: &status) >= 0, UInt64(status.st_dev) == frame.device,
            UInt64(status.st_ino) == frame.inode
        {
            return descriptor
        }
        close(descriptor)
        return nil
    }

    /// Goes down again by names, never through a symbolic link. Cost: a call for each level.
    private func reopenedFromRoot() -> CInt? {
        var current: CInt = AT_FDCWD
        for (depth, frame) in frames.enumerated() {
            let flags = O_RDONLY | O_DIRECTORY | (depth == 0 ? 0 : O_NOFOLLOW)
            let result = frame.name.withCString { calls.open($0, in: current, flags: flags) }
            if depth > 0 { close(current) }
            guard result >= 0 else { return nil }
            current = CInt(result)
        }
        return frames.last.flatMap { verified(current, as: $0) }
    }
}
