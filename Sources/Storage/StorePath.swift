/// Paths in stores that keep an object as a file whose path below a directory is its key: here, and behind SFTP.
///
/// A name that begins with a dot is never a key. Puts that are not finished are called `.tmp-` and 16 random hexadecimal digits, beside
/// their target.
package enum StorePath {
    package static let temporaryPrefix = ".tmp-"

    /// Without the last part; empty for one part.
    package static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(path[..<slash])
    }

    /// The last part; all of it for one part.
    package static func name(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }

    package static func joined(_ directory: String, _ name: String) -> String { directory.isEmpty ? name : "\(directory)/\(name)" }

    /// A path in the directory that nobody else uses.
    package static func temporary(in directory: String) -> String {
        let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
        return joined(directory, temporaryPrefix + String(repeating: "0", count: 16 - digits.count) + digits)
    }

    /// The directory to begin with for keys that begin with `prefix`, and how names in it begin. Nil for a prefix that no key begins
    /// with, which must not lead out of the store's directory.
    package static func start(of prefix: String) -> (directory: String, namesBeginning: Substring)? {
        let directory = parent(of: prefix)
        guard directory.isEmpty ? !prefix.hasPrefix("/") : StoreKey(checking: directory) != nil else { return nil }
        return (directory, Substring(prefix.utf8.dropFirst(directory.isEmpty ? 0 : directory.utf8.count + 1)))
    }
}
