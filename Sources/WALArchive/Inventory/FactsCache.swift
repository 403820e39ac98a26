import BlobEngine
import Glibc
import PostgresFormats
import RepoBase

/// Facts of segments that this machine has read before, below the repository's cache: one file for each folder of the log, so that planning over
/// a year's log reads hundreds of files and not hundreds of thousands of objects.
///
/// Files carry a keyed hash, so whoever cannot read the repository cannot make them; one that does not fit is ignored. They are replaced by
/// rename: of two processes that add at once the later wins, and the other's are read again some day. They may be deleted at any moment.
struct FactsCache {
    private let folder: String
    private let hasher: ContentHasher
    /// Files beyond this are removed, the least recently changed first; one holds at most 4,096 segments.
    private static let fileLimit = 4096
    private static let sizeLimit = 16 << 20

    init(folder: String, idSecret: SecretBytes) {
        self.folder = folder
        hasher = ContentHasher(idSecret: idSecret, info: "repo wal facts cache v1")
    }

    /// Names the file for the segments that share the first 16 digits.
    private func path(_ system: UInt64, _ log: String) -> String { "\(folder)/\(system)-\(log)" }

    /// By the digits of segments that differ, as a number.
    typealias Entries = [UInt32: WALFacts]

    func load(_ system: UInt64, log: String) -> Entries {
        guard let content = try? LocalContent.read(path(system, log), atMost: Self.sizeLimit) else { return [:] }
        let bytes = withExtendedLifetime(content) { Array(content.bytes) }
        guard bytes.count > 32, Hash256(bytes: bytes[..<32]) == identity(system, log, bytes[32...]) else { return [:] }
        var reader = ByteReader(bytes[32...], object: "a cache of facts")
        var entries: Entries = [:]
        do {
            while !reader.isAtEnd {
                let number = try reader.u32()
                entries[number] = try WALFacts(Array(try reader.bytes()), object: "a cache of facts")
            }
        } catch { return [:] }
        return entries
    }

    /// Adds to what is there. What cannot be written is read from the repository again next time.
    func add(_ entries: Entries, _ system: UInt64, log: String) {
        guard !entries.isEmpty else { return }
        let all = load(system, log: log).merging(entries) { $1 }
        var writer = ByteWriter()
        for (number, facts) in all.sorted(by: { $0.key < $1.key }) {
            writer.u32(number)
            writer.bytes(facts.encoded())
        }
        let file = identity(system, log, writer.bytes[...]).bytes + writer.bytes
        guard file.count <= Self.sizeLimit, (try? LocalContent.makeFolder(folder)) != nil else { return }
        let content = AlignedBuffer(capacity: file.count)
        content.base.copyMemory(from: file, byteCount: file.count)
        content.count = file.count
        try? LocalContent.publish(content, at: path(system, log), synchronised: false)
        trim()
    }

    private func identity(_ system: UInt64, _ log: String, _ body: ArraySlice<UInt8>) -> Hash256 {
        let bytes = Array("\(system)/\(log)\0".utf8) + body
        return bytes.withUnsafeBytes { hasher.identity($0) }
    }

    private func trim() {
        let names = (try? LocalContent.names(in: folder)) ?? []
        guard names.count > Self.fileLimit else { return }
        let aged = names.map { name -> (Int, String) in
            var status = stat()
            return (stat("\(folder)/\(name)", &status) == 0 ? status.st_mtim.tv_sec : 0, name)
        }
        for (_, name) in aged.sorted(by: <).prefix(names.count - Self.fileLimit / 2) { unlink("\(folder)/\(name)") }
    }
}
