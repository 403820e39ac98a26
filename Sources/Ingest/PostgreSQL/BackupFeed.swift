import PostgresFormats
import RepoBase
import Repository

/// Feeds a snapshot from the archives of a base backup: contents as they come, entries into a table.
struct BackupFeed: TarParser.Visitor {
    private let writer: SnapshotWriter
    private(set) var table = BackupTable()
    private var earlier: EarlierTree
    private let pages: PageFindings?
    /// Where the archive at hand belongs in the data directory.
    private var prefix: [UInt8] = []
    private var open: OpenFile?
    /// The text of `backup_label`: where and how the backup began.
    private(set) var label: [UInt8] = []
    /// Content bytes of each database, by oid.
    private(set) var databaseBytes: [UInt32: UInt64] = [:]
    /// The first file: everything that the server makes up itself belongs to the same user, with the same permissions.
    private(set) var owner: TarMember?

    private struct OpenFile {
        let member: TarMember
        let path: [UInt8]
        let previous: Content?
        let isRelation: Bool
        let feed: ContentFeed
        var checksum = CRC32C()
        var rest: UInt64
    }

    static let labelName = Array(BackupLabel.path.utf8)
    static let manifestName = Array("backup_manifest".utf8)
    private static let labelLimit = 65_536

    /// - Parameter pages: where the cluster has page checksums.
    init(_ writer: SnapshotWriter, parent: BlobID?, pages: PageFindings?) {
        self.writer = writer
        earlier = EarlierTree(parent, writer.reader)
        self.pages = pages
    }

    /// What follows is the archive of a tablespace, or of the data directory.
    mutating func beginArchive(_ oid: UInt32?) { prefix = oid.map { Self.directory(ofTablespace: $0) } ?? [] }

    static func directory(ofTablespace oid: UInt32) -> [UInt8] { Array("pg_tblspc/\(oid)".utf8) }

    mutating func begin(_ member: TarMember) throws {
        var name = member.name
        // The server writes one of its directories as './pg_wal/archive_status'.
        while name.starts(with: [UInt8(ascii: "."), RawPath.slash]) { name.removeFirst(2) }
        let path = prefix.isEmpty ? name : prefix + [RawPath.slash] + name
        let components = path.split(separator: RawPath.slash, omittingEmptySubsequences: false).map(Array.init)
        guard path.count <= BackupTable.maximumPath, components.allSatisfy(TreeCodec.isPlainName) else {
            throw TarHeader.broken("it has a member named '\(RawPath.describe(path))'")
        }
        guard member.kind == .file else {
            _ = table.add(member, path: path)
            return
        }
        if owner == nil { owner = member }
        let isRelation = PostgreSQLRelation.isRelation(components.map { $0[...] }[...])
        if let database = Self.database(components) { databaseBytes[database, default: 0] += member.size }
        let previous = earlier.entry(components)?.content
        let inspection = isRelation ? pages.flatMap { RelationInspection(path, $0) } : nil
        writer.count { $0.current = path }
        open = OpenFile(
            member: member, path: path, previous: previous, isRelation: isRelation,
            feed: writer.beginContent(isRelation ? .pageAligned : .contentDefined, previous: previous, inspection: inspection),
            rest: member.size)
    }

    /// `base/<oid>/…` and `pg_tblspc/<oid>/<version>/<oid>/…`.
    private static func database(_ components: [[UInt8]]) -> UInt32? {
        guard let first = components.first else { return nil }
        let place = first.elementsEqual("base".utf8) ? 1 : first.elementsEqual("pg_tblspc".utf8) ? 3 : 0
        guard place > 0, components.count == place + 2 else { return nil }
        return UInt32(String(decoding: components[place], as: UTF8.self))
    }

    mutating func content(_ bytes: UnsafeRawBufferPointer) throws {
        guard open != nil else { return }
        open!.checksum.update(bytes)
        try open!.feed.write(bytes, of: open!.rest)
        open!.rest -= min(open!.rest, UInt64(bytes.count))
        if open!.path == Self.labelName, label.count < Self.labelLimit { label += bytes }
    }

    mutating func end() throws {
        guard let file = open else { return }
        open = nil
        let number = try writer.keep(file.feed.finish(), previous: file.previous)
        _ = table.add(
            file.member, path: file.path, content: number, checksum: file.checksum.value,
            isPageAligned: file.isRelation && file.member.size > UInt64(writer.smallContentSize))
    }

    /// A file that comes without a header: the manifest.
    mutating func beginManifest(_ time: FileTime) throws {
        prefix = []
        var member = owner ?? TarMember(
            name: [], kind: .file, permissions: 0o600, userID: 0, groupID: 0, userName: [], groupName: [], modified: 0, size: 0)
        (member.name, member.modified, member.size) = (Self.manifestName, time.seconds, 0)
        member.permissions &= 0o660
        try begin(member)
        open!.rest = .max
    }

    /// Ends the manifest, whose size is known now.
    mutating func endManifest(size: UInt64) throws {
        guard let file = open else { return }
        open = nil
        var member = file.member
        member.size = size
        let number = try writer.keep(file.feed.finish(), previous: file.previous)
        _ = table.add(member, path: file.path, content: number, checksum: file.checksum.value)
    }

    /// Adds a directory that no archive has, such as a tablespace's own.
    mutating func addDirectory(_ path: [UInt8], permissions: UInt16, time: FileTime) {
        guard let owner else { return }
        var member = owner
        (member.name, member.kind, member.permissions) = (path, .directory, permissions)
        (member.modified, member.size) = (time.seconds, 0)
        _ = table.add(member, path: path)
    }

    mutating func sort() throws(RepoError) { try table.sort() }
}
