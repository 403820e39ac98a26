import Glibc

/// Where a root is found: a directory to open, and a name in it.
struct RootLocation {
    let parent: [UInt8]
    let name: [UInt8]
    /// What leads to the root from the working directory.
    let full: [UInt8]

    /// - Parameters:
    ///   - root: as the user wrote it.
    ///   - followsLinks: look at what a symbolic link points to; a dangling one remains itself.
    init(_ root: [UInt8], followsLinks: Bool) {
        let path = followsLinks ? Self.resolved(root) ?? root : root
        let dot = RawPath.dot
        let last = RawPath.lastComponent(path)
        if last.isEmpty || last == [dot] || last == [dot, dot] {
            // The root directory, the working directory or one above it: it has no name of its own.
            (parent, name) = (path, [dot])
        } else {
            let end = (path.lastIndex { $0 != RawPath.slash } ?? -1) + 1 - last.count
            (parent, name) = (end == 0 ? [dot] : Array(path[..<end]), last)
        }
        full = path
    }

    /// The path without symbolic links, if the root is one.
    private static func resolved(_ root: [UInt8]) -> [UInt8]? {
        var target: [UInt8]?
        _ = root.withCString { path in
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK,
                let real = realpath(path, nil)
            else { return 0 }
            target = Array(terminatedBy: real)
            free(real)
            return 0
        }
        return target
    }

    /// Absolute; `/` where it cannot be told.
    static func workingDirectory() -> [UInt8] {
        guard let path = getcwd(nil, 0) else { return [RawPath.slash] }
        defer { free(path) }
        return Array(terminatedBy: path)
    }
}
