import CLinux
import Glibc
import RepoBase

/// Walks trees depth first, each directory's entries sorted bytewise, without recursion: neither depth
/// nor the length of paths is limited, and few descriptors are used.
///
/// Every call is relative to an open directory and follows no symbolic link, so nobody can lead the walk
/// out of its roots by exchanging a directory for a link. Contents are not read.
public struct TreeWalker: Sendable {
    private let options: WalkOptions
    private let accounts: AccountNames
    private let calls: FileSystemCalls

    public init(
        options: WalkOptions = WalkOptions(), accounts: AccountNames = AccountNames(),
        calls: FileSystemCalls = .kernel
    ) {
        self.options = options
        self.accounts = accounts
        self.calls = calls
    }

    /// Walks each root in turn, in the order given. A root may be a directory or any other file.
    ///
    /// Cost: for each file one system call; for each directory three, and one for about 2,000 names.
    ///
    /// - Throws: what the visitor throws. Whatever cannot be read goes to the visitor as a problem.
    public func walk<Visitor: TreeVisitor>(
        _ roots: [[UInt8]], visitor: inout Visitor
    ) throws(Visitor.Failure) -> WalkStatistics {
        var statistics = WalkStatistics()
        for root in roots {
            var walk = RootWalk(root, options: options, accounts: accounts, calls: calls)
            // What was counted before a root remains counted.
            walk.statistics = statistics
            try walk.run(&visitor)
            statistics = walk.statistics
        }
        return statistics
    }
}

/// The walk of one root.
private struct RootWalk: ~Copyable {
    private let options: WalkOptions
    private let accounts: AccountNames
    private let calls: FileSystemCalls
    private let root: [UInt8]
    private let matcher: ExcludeMatcher
    private var stack: DirectoryStack
    /// Of the entry at hand. One buffer, lengthened and cut as the walk goes.
    private var path: [UInt8]
    /// Where the part of `path` begins that is relative to the root.
    private var relativeOffset: Int
    private var rootDevice: UInt64 = 0
    var statistics = WalkStatistics()

    init(_ root: [UInt8], options: WalkOptions, accounts: AccountNames, calls: FileSystemCalls) {
        self.options = options
        self.accounts = accounts
        self.calls = calls
        self.root = root
        path = root
        relativeOffset = root.last == RawPath.slash ? root.count : root.count + 1
        let absolute = RawPath.absolute(root, relativeTo: RootLocation.workingDirectory())
        matcher = ExcludeMatcher(options.excludes, root: absolute)
        stack = DirectoryStack(maximumOpen: options.maximumOpenDirectories, calls: calls)
    }

    mutating func run<Visitor: TreeVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        let location = RootLocation(root, followsLinks: options.followsRoots)
        let parent = open(location.parent, in: AT_FDCWD, followsLink: true)
        guard parent >= 0 else { return try report(.openDirectory, -parent, &visitor) }
        let directory = CInt(parent)
        defer { close(directory) }
        var status = stat()
        let result = location.name.withCString { calls.status($0, in: directory, into: &status) }
        guard result >= 0 else { return try report(.readAttributes, -result, &visitor) }
        rootDevice = UInt64(status.st_dev)
        let name = RawPath.lastComponent(root)
        try take(
            Candidate(
                name: name, nameInDirectory: location.name, status: status, directory: directory,
                reopeningName: location.full, clusterOffset: nil), &visitor)
        while !stack.isEmpty { try step(&visitor) }
    }

    /// An entry that is to be taken, with what is known of it.
    private struct Candidate {
        let name: [UInt8]
        let nameInDirectory: [UInt8]
        let status: stat
        let directory: CInt
        /// What leads to it from its parent's frame.
        let reopeningName: [UInt8]
        let clusterOffset: Int?

        func entry(path: [UInt8], metadata: FileMetadata, depth: Int) -> WalkedEntry {
            WalkedEntry(
                name: name, path: path, metadata: metadata, directory: directory,
                nameInDirectory: nameInDirectory, depth: depth, clusterOffset: clusterOffset)
        }
    }

    /// Goes on by one entry, or up from a directory that has no more.
    private mutating func step<Visitor: TreeVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        let index = stack.top.next
        guard index < stack.top.listing.count else { return try leave(&visitor) }
        stack.top.next += 1
        let name = stack.top.listing[index]
        if stack.top.isTaggedCache, !name.elementsEqual(Array(CacheDirectoryTag.name.description.utf8)) {
            return
        }
        path.removeSubrange(stack.top.pathCount...)
        if path.last != RawPath.slash { path.append(RawPath.slash) }
        let nameOffset = path.count
        path.append(contentsOf: name)

        let listedType = stack.top.listing.listedType(at: index)
        if let listedType, isExcluded(nameOffset, isDirectory: listedType == .directory) { return }
        let directory = stack.top.descriptor
        var status = stat()
        let result = stack.top.listing.withCName(at: index) {
            calls.status($0, in: directory, into: &status)
        }
        guard result >= 0 else { return try report(.readAttributes, -result, &visitor) }
        let type = FileType(mode: status.st_mode)
        if type != listedType, isExcluded(nameOffset, isDirectory: type == .directory) { return }
        try take(
            Candidate(
                name: name, nameInDirectory: name, status: status, directory: directory,
                reopeningName: name, clusterOffset: stack.top.clusterOffset), &visitor)
    }

    private mutating func isExcluded(_ nameOffset: Int, isDirectory: Bool) -> Bool {
        let isExcluded = matcher.excludesEntry(
            path, relativeOffset: relativeOffset, nameOffset: nameOffset, isDirectory: isDirectory)
        if isExcluded { statistics.excluded += 1 }
        return isExcluded
    }

    private mutating func take<Visitor: TreeVisitor>(
        _ candidate: Candidate, _ visitor: inout Visitor
    ) throws(Visitor.Failure) {
        let metadata = FileMetadata(candidate.status, accounts: accounts)
        let isElsewhere = options.staysOnFileSystem && metadata.device != rootDevice
        switch metadata.type {
        case .socket:
            statistics.sockets += 1
        case .directory where isElsewhere:
            try takeEmpty(candidate, metadata, &visitor)
        case .directory:
            try descend(candidate, metadata, &visitor)
        default:
            if isElsewhere {
                statistics.otherFileSystems += 1
                return
            }
            statistics.entries += 1
            try visitor.visit(candidate.entry(path: path, metadata: metadata, depth: stack.depth))
        }
    }

    /// A mount point: the directory as it shows now, without what is mounted there.
    private mutating func takeEmpty<Visitor: TreeVisitor>(
        _ candidate: Candidate, _ metadata: FileMetadata, _ visitor: inout Visitor
    ) throws(Visitor.Failure) {
        statistics.otherFileSystems += 1
        statistics.directories += 1
        try visitor.enterDirectory(candidate.entry(path: path, metadata: metadata, depth: stack.depth))
        try visitor.leaveDirectory(path: path, isComplete: true)
    }

    private mutating func descend<Visitor: TreeVisitor>(
        _ candidate: Candidate, _ seen: FileMetadata, _ visitor: inout Visitor
    ) throws(Visitor.Failure) {
        let result = open(candidate.nameInDirectory, in: candidate.directory, followsLink: false)
        guard result >= 0 else {
            let error = FileSystemError(.openDirectory, errorNumber: CInt(-result), path: path)
            // What is no longer there, or is no directory, is not entered; what is closed to us is.
            guard error.code != .notFound, error.code != .replaced else {
                return try report(error, &visitor)
            }
            statistics.directories += 1
            try visitor.enterDirectory(candidate.entry(path: path, metadata: seen, depth: stack.depth))
            try report(error, &visitor)
            return try visitor.leaveDirectory(path: path, isComplete: false)
        }
        let descriptor = OwnedDescriptor(CInt(result))
        var status = stat()
        let statusResult = calls.status(of: descriptor.number, into: &status)
        guard statusResult >= 0 else { return try report(.readAttributes, -statusResult, &visitor) }
        // The directory that is open is the one that counts, whatever stood there before.
        let metadata = FileMetadata(status, accounts: accounts)
        if options.staysOnFileSystem, metadata.device != rootDevice {
            return try takeEmpty(candidate, metadata, &visitor)
        }
        let listing = DirectoryListing(reading: descriptor.number, path: path, calls: calls)
        let isTagged =
            options.skipsTaggedCaches && !stack.isEmpty
            && CacheDirectoryTag.marks(directory: descriptor.number, listing, calls: calls)
        if isTagged { statistics.cacheDirectories += 1 }
        let isCluster = PostgreSQLCluster.isRoot(descriptor.number, listing, calls: calls)
        let offsetBelow = path.last == RawPath.slash ? path.count : path.count + 1
        let clusterOffset = isCluster ? offsetBelow : candidate.clusterOffset

        statistics.directories += 1
        try visitor.enterDirectory(candidate.entry(path: path, metadata: metadata, depth: stack.depth))
        if let failure = listing.failure { try report(failure, &visitor) }
        stack.push(
            DirectoryStack.Frame(
                listing: listing, descriptor: descriptor.release(), device: metadata.device,
                inode: metadata.inode, pathCount: path.count, name: candidate.reopeningName,
                isTaggedCache: isTagged, clusterOffset: clusterOffset,
                isComplete: listing.failure == nil))
    }

    private mutating func leave<Visitor: TreeVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        let (left, isParentOpen) = stack.pop()
        path.removeSubrange(left.pathCount...)
        try visitor.leaveDirectory(path: path, isComplete: left.isComplete)
        guard !isParentOpen else { return }
        // Its remaining entries cannot be reached any more.
        stack.top.next = stack.top.listing.count
        stack.top.isComplete = false
        try report(.replaced(.returnToDirectory, path: Array(path[..<stack.top.pathCount])), &visitor)
    }

    /// Opens a directory, without touching its access time where that is allowed.
    private func open(_ name: [UInt8], in directory: CInt, followsLink: Bool) -> Int {
        let flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | (followsLink ? 0 : O_NOFOLLOW)
        return name.withCString { name in
            let result = calls.open(name, in: directory, flags: flags | LINUX_O_NOATIME)
            return result == -Int(EPERM) ? calls.open(name, in: directory, flags: flags) : result
        }
    }

    private mutating func report<Visitor: TreeVisitor>(
        _ operation: FileSystemError.Operation, _ errorNumber: Int, _ visitor: inout Visitor
    ) throws(Visitor.Failure) {
        try report(FileSystemError(operation, errorNumber: CInt(errorNumber), path: path), &visitor)
    }

    private mutating func report<Visitor: TreeVisitor>(
        _ error: FileSystemError, _ visitor: inout Visitor
    ) throws(Visitor.Failure) {
        statistics.problems += 1
        try visitor.problem(error)
    }
}
