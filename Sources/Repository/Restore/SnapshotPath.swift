public import RepoBase

/// Finds entries of a snapshot by their paths.
public enum SnapshotPath {
    /// What a path names.
    public enum Found: Hashable, Sendable {
        /// The snapshot's root, which is a directory without metadata of its own.
        case root(BlobID)
        case entry(TreeEntry)

        /// The tree of a directory; nil for anything else.
        public var tree: BlobID? {
            switch self {
            case .root(let id): id
            case .entry(let entry): entry.subtree
            }
        }
    }

    private static let slash = UInt8(ascii: "/")

    /// What `path` names below the tree `root`; repeated and trailing slashes and `.` mean nothing, `..` is a name like any
    /// other and there is none of it. Symbolic links are not followed.
    ///
    /// Throws `.notFound`, naming the part that is missing. Cost: the trees on the way, one leaf and its branches each.
    public static func find(_ root: BlobID, _ path: [UInt8], _ reader: BlobReader) throws -> Found {
        var found = Found.root(root)
        var walked: [UInt8] = []
        for name in path.split(separator: slash) where !name.elementsEqual(CollectionOfOne(UInt8(ascii: "."))) {
            guard let tree = found.tree else {
                throw RepoError(
                    .notFound, "'\(PathText.describe(walked))' is not a directory in this snapshot",
                    advice: "'repo ls' lists what it holds.")
            }
            walked += [slash] + name
            var cursor = try TreeCursor(tree, reader)
            guard let entry = try cursor.entry(named: Array(name)) else {
                throw RepoError(
                    .notFound, "'\(PathText.describe(walked))' is not in this snapshot",
                    advice: "'repo ls' lists what it holds.")
            }
            found = .entry(entry)
        }
        return found
    }

    /// The file that `path` names, for a stream of its content. An empty path means the snapshot's only entry, as in those of streams and commands.
    ///
    /// Throws `.notFound`, or `.usage` when it is not a file or there are several to choose from.
    public static func file(_ root: BlobID, _ path: [UInt8], _ reader: BlobReader) throws -> TreeEntry {
        if path.isEmpty {
            var cursor = try TreeCursor(root, reader)
            guard let only = try cursor.next(), only.content != nil, try cursor.next() == nil else {
                throw RepoError(
                    .usage, "the snapshot holds more than one file, and no path was given",
                    advice: "Name the file; 'repo ls' lists what there is.")
            }
            return only
        }
        let found = try find(root, path, reader)
        guard case .entry(let entry) = found, entry.content != nil else {
            throw RepoError(
                .usage, "'\(PathText.describe(path))' is not a file",
                advice: "'repo ls' lists what the snapshot holds; 'repo restore' restores other things than files.")
        }
        return entry
    }
}

/// Paths for people.
enum PathText {
    /// Printable UTF-8 as it is; control characters, backslashes and what is not UTF-8 as `\xNN`.
    static func describe(_ path: some Collection<UInt8>) -> String {
        let text = String(decoding: path, as: UTF8.self)
        let isPlain = text.unicodeScalars.allSatisfy {
            $0 != "\u{fffd}" && $0 != "\\" && $0.properties.generalCategory != .control
                && $0.properties.generalCategory != .format
        }
        if isPlain { return text }
        var escaped = ""
        for byte in path {
            if (0x20...0x7e).contains(byte), byte != UInt8(ascii: "\\") {
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                escaped += "\\x" + Hexadecimal.encode(CollectionOfOne(byte))
            }
        }
        return escaped
    }
}
