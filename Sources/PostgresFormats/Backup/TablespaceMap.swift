public import RepoBase

/// The content of `tablespace_map`: where recovery makes the links below `pg_tblspc` point to (`read_tablespace_map`,
/// access/transam/xlogrecovery.c). Each line is `oid SPACE path`; a backslash stands before a backslash or an end of line that belongs to the path.
public struct TablespaceMap: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var oid: UInt32
        public var path: [UInt8]

        public init(oid: UInt32, path: [UInt8]) { (self.oid, self.path) = (oid, path) }
    }

    public var entries: [Entry]

    /// The file's path in the data directory.
    public static let path = "tablespace_map"

    public init(_ entries: [Entry]) { self.entries = entries }

    /// Throws `.damaged`, naming `object`, for a line that is not such, and for an oid that stands there twice.
    public init(_ bytes: [UInt8], object: String) throws(RepoError) {
        entries = []
        var seen: Set<UInt32> = []
        var line: [UInt8] = []
        var isEscaped = false
        for byte in bytes {
            if !isEscaped, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if !isEscaped, byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                if line.isEmpty { continue }
                let entry = try Self.entry(line, object: object)
                guard seen.insert(entry.oid).inserted else { throw Self.damaged(object, "it names tablespace \(entry.oid) twice") }
                entries.append(entry)
                line.removeAll(keepingCapacity: true)
            } else {
                line.append(byte)
                isEscaped = false
            }
        }
        guard line.isEmpty, !isEscaped else { throw Self.damaged(object, "its last line does not end") }
    }

    private static func entry(_ line: [UInt8], object: String) throws(RepoError) -> Entry {
        guard let space = line.firstIndex(of: UInt8(ascii: " ")), line[..<space].allSatisfy({ (0x30...0x39).contains($0) }),
            let oid = UInt32(String(decoding: line[..<space], as: UTF8.self)), oid > 0, space + 1 < line.count, !line.contains(0)
        else { throw damaged(object, "a line is not an oid and a path") }
        return Entry(oid: oid, path: Array(line[(space + 1)...]))
    }

    /// The file's content.
    public var bytes: [UInt8] {
        var result: [UInt8] = []
        for entry in entries {
            result += Array("\(entry.oid) ".utf8)
            for byte in entry.path {
                if [UInt8(ascii: "\\"), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(byte) { result.append(UInt8(ascii: "\\")) }
                result.append(byte)
            }
            result.append(UInt8(ascii: "\n"))
        }
        return result
    }

    private static func damaged(_ object: String, _ why: String) -> RepoError {
        RepoError(.damaged, "\(object) is damaged: \(why)", advice: "Take the base backup again.")
    }
}
