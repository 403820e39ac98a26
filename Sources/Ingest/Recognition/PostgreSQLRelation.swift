/// Files of tables and indexes, with their forks and segments.
///
/// Source: "Database File Layout" and "Database Page Layout" in PostgreSQL's manual;
/// `common/relpath.h`, `storage/bufpage.h`.
enum PostgreSQLRelation {
    /// BLCKSZ unless PostgreSQL was built otherwise.
    private static let usualPageSize = 8192

    /// The page size of a relation file, or nothing for any other file.
    ///
    /// Inside a data directory the place and the name suffice. Elsewhere (a tablespace, or a PATH below
    /// the data directory's root) the first page must also look like one.
    static func pageSize(_ path: [UInt8], clusterOffset: Int?, _ header: FileHeader, size: UInt64) -> Int? {
        guard size > 0 else { return nil }
        let found = pageSizeInHeader(header, size: size)
        if let clusterOffset, clusterOffset <= path.count,
            isRelation(RawPath.components(Array(path[clusterOffset...]))[...])
        {
            return found ?? usualPageSize
        }
        guard let found else { return nil }
        return isRelation(RawPath.components(path).suffix(4)) ? found : nil
    }

    /// `base/DATABASE/FILE`, `global/FILE`, `PG_VERSION_CATALOG/DATABASE/FILE` in a tablespace, with
    /// anything before.
    static func isRelation(_ path: ArraySlice<ArraySlice<UInt8>>) -> Bool {
        guard let name = path.last, isRelationName(name) else { return false }
        let above = path.dropLast()
        guard let directory = above.last else { return false }
        if directory.elementsEqual("global".utf8) { return true }
        guard isNumber(directory), let place = above.dropLast().last else { return false }
        return place.elementsEqual("base".utf8) || isTablespaceVersion(place)
    }

    /// `FILENODE[_fsm|_vm|_init][.SEGMENT]`.
    private static func isRelationName(_ name: ArraySlice<UInt8>) -> Bool {
        let parts = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.count == 1 || isNumber(parts[1]) else { return false }
        let fork = parts[0].split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
        guard fork.count <= 2, isNumber(fork[0]) else { return false }
        return fork.count == 1 || ["fsm", "vm", "init"].contains { fork[1].elementsEqual($0.utf8) }
    }

    /// `PG_15_202209061`: major version and catalogue version.
    private static func isTablespaceVersion(_ name: ArraySlice<UInt8>) -> Bool {
        let parts = name.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
        return parts.count == 3 && parts[0].elementsEqual("PG".utf8) && isNumber(parts[2])
            && parts[1].split(separator: UInt8(ascii: ".")).allSatisfy(isNumber)
    }

    private static func isNumber(_ text: ArraySlice<UInt8>) -> Bool {
        !text.isEmpty && text.count <= 10 && text.allSatisfy { (0x30...0x39).contains($0) }
    }

    /// By `PageHeaderData`: pd_lower at 12, pd_upper 14, pd_special 16, pd_pagesize_version 18. The low
    /// byte of the last is the layout's version, 1 to 4; numbers are in the server's byte order, here
    /// taken for little-endian.
    private static func pageSizeInHeader(_ header: FileHeader, size: UInt64) -> Int? {
        let pageSizeAndVersion = header.littleEndian16(18)
        guard (1...4).contains(pageSizeAndVersion & 0xff),
            let pageSize = (pageSizeAndVersion & 0xff00).ifPowerOfTwo(in: 1024...32768)
        else { return nil }
        let lower = header.littleEndian16(12)
        let upper = header.littleEndian16(14)
        let special = header.littleEndian16(16)
        let isSane = 24 <= lower && lower <= upper && upper <= special && special <= pageSize
        return isSane && size >= UInt64(pageSize) ? pageSize : nil
    }
}
