import Glibc
import Testing

/// A tree with every kind of content and entry that a user may make, in versions that differ a little.
struct SampleTree {
    /// What packs hold at least of one version.
    static let incompressibleBytes = 2_000_000
    let path: String

    init(at path: String) throws {
        self.path = path
        var numbers = SeededNumbers(seed: 11)
        try FileTree.write("\(path)/random", numbers.bytes(1_000_000))
        try FileTree.write("\(path)/empty", [])
        try FileTree.write("\(path)/nobody/nothing", Array("nothing\n".utf8))
        // More entries than one leaf of a tree holds.
        for number in 0..<5000 {
            try FileTree.write("\(path)/many/\(number)", Array(repeating: UInt8(48 + number % 10), count: number % 700))
        }
        try change(to: 0)
        try #require(symlink("../dump.sql", "\(path)/many/link") == 0)
        try #require(link("\(path)/random", "\(path)/hard link") == 0)
        try #require(mkfifo("\(path)/fifo", 0o640) == 0)
        let notText: [CChar] = Array("\(path)/not ".utf8).map(CChar.init(bitPattern:)) + [-1, 0]
        try #require(mkdir(notText, 0o750) == 0)
        try #require(chmod("\(path)/random", 0o4711) == 0 && chmod("\(path)/many", 0o1777) == 0)
        // Where the file system has no place for it, nothing is there to restore.
        _ = try ProgramUnderTest(folder: path, executable: "/usr/bin/setfattr")
            .run("-n", "user.comment", "-v", "kept", "\(path)/random")
    }

    /// Rewrites what changes: a dump with some other rows, a database with some other pages, a sparse disk image.
    func change(to version: Int) throws {
        var numbers = SeededNumbers(seed: 13)
        var dump: [UInt8] = []
        for row in 0..<20_000 {
            let changed = version > 0 && row % 1000 == version
            dump += Array("\(row)\t\(numbers.next())\t\(changed ? "changed \(version)" : "order")\n".utf8)
        }
        try FileTree.write("\(path)/dump.sql", dump)
        // Recognised as a database by its first bytes, so its chunks are cut at fixed places.
        var pages = Array("SQLite format 3\0".utf8) + [16, 0, 1, 1, 0, 64, 32, 32]
        pages += numbers.bytes(600_000 - pages.count)
        for page in 1...max(version, 1) { pages[page * 98_304] ^= UInt8(version) }
        try FileTree.write("\(path)/base.sqlite", pages)
        let sparse = open("\(path)/sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(sparse >= 0)
        defer { close(sparse) }
        for place in [3_000_000, 20_000_000 + version * 100_000] {
            try #require(pwrite(sparse, "content", 7, off_t(place)) == 7)
        }
        try #require(ftruncate(sparse, 30_000_000) == 0)
    }
}

/// All that a restore brings back of one entry.
struct Described: Equatable, CustomStringConvertible {
    let path: [UInt8]
    let status: [Int]
    /// A file's bytes, or where a link leads.
    let content: [UInt8]

    var description: String { "\(String(decoding: path, as: UTF8.self)) \(status)" }

    /// The extended attributes of everything below, as text.
    static func attributes(_ root: String) throws -> String {
        try ProgramUnderTest(folder: root, executable: "/usr/bin/getfattr")
            .run("--recursive", "--dump", "--absolute-names", root).text.replacing(root, with: "")
    }

    /// A directory's entries, all the way down, sorted.
    static func tree(_ root: String) throws -> [Described] {
        var found: [Described] = []
        try add(Array(root.utf8), below: root.utf8.count, to: &found)
        return found.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    private static func add(_ directory: [UInt8], below root: Int, to found: inout [Described]) throws {
        let stream = try #require(opendir(directory.map(CChar.init(bitPattern:)) + [0]))
        defer { closedir(stream) }
        while let record = readdir(stream) {
            let name = withUnsafePointer(to: &record.pointee.d_name) {
                $0.withMemoryRebound(to: UInt8.self, capacity: 256) { Array(UnsafeBufferPointer(start: $0, count: strlen($0))) }
            }
            if name == [46] || name == [46, 46] { continue }
            let path = directory + [47] + name
            let entry = try Described(path, below: root)
            found.append(entry)
            if entry.status[0] & Int(S_IFMT) == S_IFDIR { try add(path, below: root, to: &found) }
        }
    }

    private init(_ path: [UInt8], below root: Int) throws {
        let text = path.map(CChar.init(bitPattern:)) + [0]
        var status = stat()
        try #require(lstat(text, &status) == 0)
        let kind = status.st_mode & S_IFMT
        self.path = Array(path[root...])
        // A directory's size and count of links are the file system's affair.
        self.status =
            [Int(status.st_mode), Int(status.st_uid), Int(status.st_gid), status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
            + (kind == S_IFDIR ? [] : [Int(status.st_nlink), Int(status.st_size)])
        switch kind {
        case S_IFREG: content = try FileTree.read(String(decoding: path, as: UTF8.self))
        case S_IFLNK:
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = buffer.withUnsafeMutableBytes { readlink(text, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
            content = Array(buffer[..<max(0, count)])
        default: content = []
        }
    }
}

extension FileTree {
    static func size(_ path: String) -> Int {
        var status = stat()
        return lstat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}
