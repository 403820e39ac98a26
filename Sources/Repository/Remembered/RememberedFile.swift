import BlobEngine
import RepoBase

/// Layout and place of what a writer remembers of a source's last snapshot (format.md, appendix B).
enum RememberedFile {
    static let magic = Array("repolast".utf8)
    static let closing = Array("lastrepo".utf8)
    static let version: UInt32 = 1
    static let headerLength = 16
    /// Of one row of the directory: type, id, offset, length.
    static let rowLength = 1 + 32 + 8 + 4
    /// Offset and count of the directory, length of the head, hash of both, closing.
    static let trailerLength = 8 + 4 + 4 + 32 + 8

    /// The most that is remembered of one source; what is beyond is read anew the next time.
    static let byteLimit: UInt64 = 256 << 20
    static let countLimit = 1 << 18

    static func folder(_ cacheDirectory: String) -> String { cacheDirectory + "/last" }

    /// One file for each source on each host, whatever characters are in their names.
    static func path(_ cacheDirectory: String, source: String, host: String) -> String {
        "\(folder(cacheDirectory))/\(ObjectHasher.hash(Array(source.utf8) + [0] + Array(host.utf8)))"
    }
}
