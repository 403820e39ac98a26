/// A file of a relation, told by its path in the data directory (chapter "Database File Layout" of PostgreSQL's manual; common/relpath.h):
/// `base/DATABASE/FILENODE[_FORK][.SEGMENT]`, `global/…`, `pg_tblspc/OID/PG_15_202209061/DATABASE/…`.
public struct RelationFile: Hashable, Sendable {
    public enum Fork: String, Hashable, Sendable {
        case main
        case freeSpace = "fsm"
        case visibility = "vm"
        /// What an unlogged relation is reset to.
        case initial = "init"
    }

    /// 0 for `pg_default` and `pg_global`.
    public var tablespace: UInt32
    /// 0 for relations that all databases share.
    public var database: UInt32
    public var filenode: UInt32
    public var fork: Fork
    public var segment: UInt32

    /// Nil for any other file: those of sessions' temporary relations (`t3_16384`), `pg_filenode.map`, `PG_VERSION`.
    public init?(path: some StringProtocol) {
        var parts = path.split(separator: "/", omittingEmptySubsequences: false)[...]
        switch parts.popFirst() {
        case "global": (tablespace, database) = (0, 0)
        case "base":
            guard let number = Self.number(parts.popFirst()) else { return nil }
            (tablespace, database) = (0, number)
        case "pg_tblspc":
            guard let space = Self.number(parts.popFirst()), parts.popFirst()?.hasPrefix("PG_") == true,
                let number = Self.number(parts.popFirst())
            else { return nil }
            (tablespace, database) = (space, number)
        default: return nil
        }
        guard let name = parts.popFirst(), parts.isEmpty else { return nil }
        let pieces = name.split(separator: ".", omittingEmptySubsequences: false)
        let words = pieces[0].split(separator: "_", omittingEmptySubsequences: false)
        guard pieces.count <= 2, words.count <= 2, let filenode = Self.number(words[0]) else { return nil }
        self.filenode = filenode
        if words.count == 2 {
            guard words[1] != "main", let fork = Fork(rawValue: String(words[1])) else { return nil }
            self.fork = fork
        } else {
            fork = .main
        }
        if pieces.count == 2 {
            guard let segment = Self.number(pieces[1]) else { return nil }
            self.segment = segment
        } else {
            segment = 0
        }
    }

    /// Decimal as PostgreSQL prints it: no sign, no leading zero.
    private static func number(_ text: (some StringProtocol)?) -> UInt32? {
        guard let text, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text.first != "0" else { return nil }
        return UInt32(text)
    }

    /// The number in the fork of the file's first page; nil where no relation is as long as that.
    ///
    /// - Parameter pagesPerFile: `ControlFile.pagesPerFile`, 131,072 unless PostgreSQL was built otherwise.
    public func firstBlock(pagesPerFile: UInt32) -> UInt32? {
        let (block, overflow) = segment.multipliedReportingOverflow(by: pagesPerFile)
        return overflow ? nil : block
    }
}
