import BlobEngine
import Foundation
import RepoBase
import Repository
import Storage

/// Fills a new repository with ten million blobs that exist in the index alone, so that what depends on the number of blobs can be measured
/// without the terabytes behind them.
///
/// Emulated: the packs of chunks are holes of the right sizes under random names, so nothing that reads or copies a chunk works. Real: index
/// segments, lists and trees, and the snapshot that leads to 19 of 20 packs; the rest is for `prune`.
@main
enum LargeIndex {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let blobs = Int(arguments[3]), blobs >= 1 << 16 else {
            complain("usage: large-index REPOSITORY PASSWORD-FILE BLOBS\nAt least 65,536 blobs; 'repo init' has just made the repository.")
            exit(2)
        }
        do {
            let password = try firstLine(of: arguments[2])
            let store = try LocalStore(path: arguments[1], mustExist: true)
            let place = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
            var cache = Array("\(place)/large-index.XXXXXX".utf8CString)
            guard mkdtemp(&cache) != nil else { throw RepoError(.failed, "no temporary folder: \(String(cString: strerror(errno)))") }
            let folder = cache.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let repository = try OpenRepository(
                store: store, keys: .open(store, .password(password)), cacheDirectory: folder)
            var snapshot = SyntheticSnapshot(repository, root: arguments[1], blobs: blobs)
            try snapshot.write()
        } catch {
            complain("large-index: \(error)")
            exit(1)
        }
    }

    private static func complain(_ text: String) {
        let line = Array("\(text)\n".utf8)
        write(STDERR_FILENO, line, line.count)
    }

    private static func firstLine(of path: String) throws -> [UInt8] {
        guard let file = fopen(path, "r") else { throw RepoError(.failed, "\(path): \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        var line: [UInt8] = []
        while case let byte = fgetc(file), byte != EOF, byte != 10 { line.append(UInt8(byte)) }
        return line
    }
}
