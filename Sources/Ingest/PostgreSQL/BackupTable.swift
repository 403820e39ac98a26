import RepoBase

/// The entries of a base backup, collected in the server's order and brought into the tree's in the end.
///
/// About 60 bytes an entry and its path.
struct BackupTable {
    struct Entry {
        enum Kind: UInt8 {
            case file
            case directory
            case symbolicLink
        }

        fileprivate var pathStart: Int
        fileprivate var pathLength: UInt32
        var kind: Kind
        var permissions: UInt16
        var owner: UInt8
        var userID: UInt32
        var groupID: UInt32
        var modified: Int64
        var size: UInt64
        /// CRC-32C of the content.
        var checksum: UInt32
        /// What `SnapshotWriter.keep` called the content; -1 for anything but a file.
        var content: Int
        var isPageAligned: Bool
    }

    private var paths: [UInt8] = []
    private(set) var entries: [Entry] = []
    /// Names of user and group, by `Entry.owner`.
    private(set) var owners: [(user: [UInt8], group: [UInt8])] = []
    /// Targets of symbolic links, by position in `entries`.
    private(set) var targets: [Int: [UInt8]] = [:]
    private(set) var isSorted = true

    static let maximumPath = 4096

    /// Returns the entry's position, which holds until `sort`.
    mutating func add(_ member: TarMember, path: [UInt8], content: Int = -1, checksum: UInt32 = 0, isPageAligned: Bool = false) -> Int {
        let kind: Entry.Kind
        switch member.kind {
        case .file: kind = .file
        case .directory: kind = .directory
        case .symbolicLink(let target):
            kind = .symbolicLink
            targets[entries.count] = target
        }
        entries.append(
            Entry(
                pathStart: paths.count, pathLength: UInt32(path.count), kind: kind, permissions: member.permissions,
                owner: owner(member), userID: member.userID, groupID: member.groupID, modified: member.modified, size: member.size,
                checksum: checksum, content: content, isPageAligned: isPageAligned))
        paths += path
        isSorted = false
        return entries.count - 1
    }

    /// Different owners are few; beyond 255 pairs of names the numbers alone are kept.
    private mutating func owner(_ member: TarMember) -> UInt8 {
        if let known = owners.lastIndex(where: { $0.user == member.userName && $0.group == member.groupName }) { return UInt8(known) }
        guard owners.count < 255 else { return 255 }
        owners.append((member.userName, member.groupName))
        return UInt8(owners.count - 1)
    }

    func path(_ entry: Entry) -> ArraySlice<UInt8> { paths[entry.pathStart..<entry.pathStart + Int(entry.pathLength)] }

    func target(_ position: Int) -> [UInt8] { targets[position] ?? [] }

    /// Depth first, names ascending: a slash sorts before every other byte. Throws when a path stands there twice.
    mutating func sort() throws(RepoError) {
        let order = paths.withUnsafeBufferPointer { bytes in
            entries.indices.sorted { Self.compare(entries[$0], entries[$1], bytes) < 0 }
        }
        targets = Dictionary(uniqueKeysWithValues: order.enumerated().compactMap { new, old in targets[old].map { (new, $0) } })
        entries = order.map { entries[$0] }
        isSorted = true
        for (first, second) in zip(entries, entries.dropFirst()) where path(first).elementsEqual(path(second)) {
            throw TarHeader.broken("'\(RawPath.describe(Array(path(first))))' is in it twice")
        }
    }

    private static func compare(_ a: Entry, _ b: Entry, _ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let count = Int(min(a.pathLength, b.pathLength))
        for offset in 0..<count {
            let x = bytes[a.pathStart + offset]
            let y = bytes[b.pathStart + offset]
            if x != y { return rank(x) < rank(y) ? -1 : 1 }
        }
        return Int(a.pathLength) - Int(b.pathLength)
    }

    private static func rank(_ byte: UInt8) -> UInt8 { byte == RawPath.slash ? 0 : byte }

    /// The position of a path, after `sort`. O(log entries).
    func find(_ path: some RandomAccessCollection<UInt8>) -> Int? {
        precondition(isSorted)
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if Self.isBefore(self.path(entries[middle]), path) { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && self.path(entries[low]).elementsEqual(path) ? low : nil
    }

    private static func isBefore(_ a: some Sequence<UInt8>, _ b: some Sequence<UInt8>) -> Bool {
        a.lexicographicallyPrecedes(b) { rank($0) < rank($1) }
    }
}
