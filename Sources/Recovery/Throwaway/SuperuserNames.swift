/// Names of superusers, read from a cluster's files: nothing tells them to somebody who cannot connect yet.
enum SuperuserNames {
    /// pg_authid's oid (catalog/pg_authid.h), and that of the role that initdb made (`BOOTSTRAP_SUPERUSERID`).
    private static let table: UInt32 = 1260
    private static let first: UInt32 = 10

    /// Those who may log in, initdb's own one first. Old names may be among them, and what is in the server's memory alone is not: connecting tells who is one.
    ///
    /// - Parameter data: the data directory. Empty where its files are not understood.
    static func read(_ data: String) -> [String] {
        let number = TextFile.bytes(data + "/global/pg_filenode.map").flatMap { $0.withUnsafeBytes(mapped) } ?? table
        guard let bytes = TextFile.bytes(data + "/global/\(number)") else { return [] }
        var found: [(oid: UInt32, name: String)] = []
        bytes.withUnsafeBytes { file in
            var start = 0
            while start + headerSize <= file.count {
                // `pd_pagesize_version`: the page's size with the layout's version in its lowest byte.
                let size = Int(number16(file, start + 18) & 0xFF00)
                guard size >= 1024, start + size <= file.count else { return }
                roles(UnsafeRawBufferPointer(rebasing: file[start..<start + size])) { found.append(($0, $1)) }
                start += size
            }
        }
        var names: [String] = []
        for role in found.filter({ $0.oid == first }) + found where !names.contains(role.name) { names.append(role.name) }
        return names
    }

    /// The file of pg_authid, by `RelMapFile` (utils/cache/relmapper.c): a magic number, how many, and pairs of oid and file.
    private static func mapped(_ map: UnsafeRawBufferPointer) -> UInt32? {
        guard map.count >= 8, number32(map, 0) == 0x592717 else { return nil }
        let count = min(Int(number32(map, 4)), (map.count - 8) / 8)
        return (0..<count).first { number32(map, 8 + 8 * $0) == table }.map { number32(map, 12 + 8 * $0) }
    }

    /// `PageHeaderData` (storage/bufpage.h).
    private static let headerSize = 24
    /// `oid`, `rolname` (64 bytes), then `rolsuper`, and four bytes behind it `rolcanlogin` (catalog/pg_authid.h; the same from 13 to 18).
    private static let (name, isSuper, mayLogin, end) = (4, 68, 72, 73)

    private static func roles(_ page: UnsafeRawBufferPointer, _ body: (UInt32, String) -> Void) {
        let lower = min(Int(number16(page, 12)), page.count)
        var item = headerSize
        while item + 4 <= lower {
            // `ItemIdData` (storage/itemid.h): 15 bits of offset, 2 of flags (1: in use), 15 of length.
            let word = number32(page, item)
            item += 4
            let (offset, length) = (Int(word & 0x7FFF), Int(word >> 17))
            guard (word >> 15) & 3 == 1, length > 23, offset + length <= page.count else { continue }
            // `t_hoff` of HeapTupleHeaderData (access/htup_details.h). None of these columns is ever null.
            let row = offset + Int(page[offset + 22])
            guard row + end <= offset + length, page[row + isSuper] == 1, page[row + mayLogin] == 1 else { continue }
            let text = page[row + name..<row + isSuper].prefix { $0 != 0 }
            if !text.isEmpty { body(number32(page, row), String(decoding: text, as: UTF8.self)) }
        }
    }

    private static func number16(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt16 {
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
    }

    private static func number32(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }
}
