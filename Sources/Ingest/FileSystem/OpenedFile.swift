import CLinux
import Glibc
public import RepoBase

/// A regular file open for reading, which tells afterwards whether it changed meanwhile.
public struct OpenedFile: ~Copyable, Sendable {
    /// What happened to the file between opening and finishing.
    public struct Changes: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The end came before the size that the file had when it was opened.
        public static let shrunk = Changes(rawValue: 1)
        /// The size is now larger than when it was opened.
        public static let grown = Changes(rawValue: 2)
        /// mtime differs: content was written.
        public static let modified = Changes(rawValue: 4)
        /// ctime differs: content or attributes were changed.
        public static let attributesChanged = Changes(rawValue: 8)
    }

    private let descriptor: OwnedDescriptor
    private let calls: FileSystemCalls
    private let accounts: AccountNames
    private var reachedEnd: UInt64?

    /// As the file was when it was opened; without extended attributes until they are loaded.
    public private(set) var metadata: FileMetadata
    /// Bytes that the file occupies on disk (512 × `st_blocks`). Less than its size: it may have holes.
    public private(set) var allocatedSize: UInt64
    public let path: [UInt8]

    /// Opens an entry of a directory: never a symbolic link, never waiting (a fifo in its place), without
    /// touching its access time where that is allowed. Of a large one the kernel is told that it will be read in order.
    ///
    /// - Parameters:
    ///   - directory: a descriptor, or `AT_FDCWD`.
    ///   - path: the file's full path, for messages.
    /// - Throws: `replaced` where the entry is not a regular file.
    public init(
        _ name: [UInt8], in directory: CInt, path: [UInt8], accounts: AccountNames,
        calls: FileSystemCalls = .kernel
    ) throws(FileSystemError) {
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        var result = name.withCString { calls.open($0, in: directory, flags: flags | LINUX_O_NOATIME) }
        if result == -Int(EPERM) {
            // Only the owner and root may leave the access time alone.
            result = name.withCString { calls.open($0, in: directory, flags: flags) }
        }
        guard result >= 0 else {
            throw FileSystemError(.openFile, errorNumber: CInt(-result), path: path)
        }
        let opened = OwnedDescriptor(CInt(result))
        var status = stat()
        let statusResult = calls.status(of: opened.number, into: &status)
        guard statusResult >= 0 else {
            throw FileSystemError(.readAttributes, errorNumber: CInt(-statusResult), path: path)
        }
        let metadata = FileMetadata(status, accounts: accounts)
        guard metadata.type == .regular else { throw .replaced(.openFile, path: path) }
        self.metadata = metadata
        allocatedSize = UInt64(max(0, status.st_blocks)) * 512
        self.path = path
        self.calls = calls
        self.accounts = accounts
        if metadata.size > Self.beginning { _ = posix_fadvise(opened.number, 0, 0, POSIX_FADV_SEQUENTIAL) }
        descriptor = opened
    }

    /// What `fetchBeginning` fetches, in bytes: small files in whole, of others what keeps the device busy until they are read in order.
    private static let beginning: UInt64 = 256 << 10

    /// Asks the kernel to read the file's beginning from the device meanwhile (posix_fadvise).
    public func fetchBeginning() {
        guard metadata.size > 0 else { return }
        _ = posix_fadvise(descriptor.number, 0, off_t(min(metadata.size, Self.beginning)), POSIX_FADV_WILLNEED)
    }

    /// Looks at the file again, as if it had been opened only now: for files that were opened some time before they are read.
    /// Extended attributes that may be others by now are loaded again.
    ///
    /// - Throws: what loading attributes throws, after everything else has been taken over.
    public mutating func refresh() throws(FileSystemError) {
        var status = stat()
        let result = calls.status(of: descriptor.number, into: &status)
        guard result >= 0 else {
            throw FileSystemError(.readAttributes, errorNumber: CInt(-result), path: path)
        }
        let now = FileMetadata(status, accounts: accounts)
        allocatedSize = UInt64(max(0, status.st_blocks)) * 512
        guard
            now.changeTime != metadata.changeTime || now.modificationTime != metadata.modificationTime
                || now.size != metadata.size
        else { return }
        metadata = now
        try loadExtendedAttributes()
    }

    /// Adds the extended attributes to `metadata`.
    ///
    /// - Throws: the first failure, after everything that could be read has been taken over.
    public mutating func loadExtendedAttributes() throws(FileSystemError) {
        try metadata.loadExtendedAttributes(of: descriptor.number, path: path, calls: calls)
    }

    /// Fills `buffer` from `offset` on, in as many calls as that takes.
    ///
    /// - Returns: the number of bytes read; fewer than `buffer.count` only at the end of the file. What was
    ///   appended since the file was opened is read too.
    public mutating func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(FileSystemError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let position = offset + UInt64(filled)
            let result = calls.read(descriptor.number, into: rest, at: position)
            guard result >= 0 else {
                throw FileSystemError(.readContent, errorNumber: CInt(-result), path: path)
            }
            if result == 0 {
                reachedEnd = min(reachedEnd ?? position, position)
                break
            }
            filled += result
        }
        return filled
    }

    /// The first stretch of content at or after `offset`, within the size at opening; nothing where only a
    /// hole remains. A file system that does not know of holes has one stretch. Cost: two system calls.
    public func dataRegion(from offset: UInt64) throws(FileSystemError) -> DataRegion? {
        try DataRegion.first(
            of: descriptor.number, from: offset, size: metadata.size, path: path, calls: calls)
    }

    /// All stretches of content, in order. Cost: two system calls and 16 bytes for each; none where
    /// `allocatedSize` shows that there can be no hole.
    public func dataRegions() throws(FileSystemError) -> [DataRegion] {
        guard metadata.size > 0 else { return [] }
        guard allocatedSize < metadata.size else { return [DataRegion(offset: 0, length: metadata.size)] }
        var regions: [DataRegion] = []
        var offset: UInt64 = 0
        while let region = try dataRegion(from: offset) {
            regions.append(region)
            offset = region.offset + region.length
        }
        return regions
    }

    /// Looks at the file once more, and closes it.
    ///
    /// - Returns: how it differs from what it was at opening; empty: what was read is one state of it, as
    ///   far as the kernel's time stamps can tell.
    public consuming func finish() throws(FileSystemError) -> Changes {
        let after = try FileMetadata(
            of: descriptor.number, path: path, accounts: accounts, calls: calls)
        var changes: Changes = []
        if after.size < metadata.size { changes.insert(.shrunk) }
        if let reachedEnd, reachedEnd < metadata.size { changes.insert(.shrunk) }
        if after.size > metadata.size { changes.insert(.grown) }
        if after.modificationTime != metadata.modificationTime { changes.insert(.modified) }
        if after.changeTime != metadata.changeTime { changes.insert(.attributesChanged) }
        return changes
    }
}
