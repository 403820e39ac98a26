import Glibc
import RepoBase
import Testing

/// A folder with a repository, a cache and a machine key, on which the real program runs; gone when the test
/// ends.
///
/// The machine key spares each run the cost of a password's scrypt.
final class ProgramFolder: Sendable {
    static let password = "correct horse battery staple"
    let path: String
    let repository: String
    let program: ProgramUnderTest

    /// - Parameter repository: where it is to be made; in the folder itself when nil.
    init(repository: String? = nil) throws {
        var template = Array("/tmp/program-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        self.path = path
        RemovedAtExit.add(path)
        self.repository = repository ?? "\(path)/repository"
        program = ProgramUnderTest(
            folder: path,
            environment: [
                "REPO_URL": self.repository, "REPO_CACHE_DIR": "\(path)/cache",
                "REPO_KEY_FILE": "\(path)/machine.key",
            ])
        for (name, bytes) in try Self.template.get() {
            try FileTree.write(name == Self.keyName ? "\(path)/\(name)" : "\(self.repository)/\(name)", bytes)
        }
    }

    private static let keyName = "machine.key"

    /// The files of a new repository, by their paths in it, and a machine key: made once, since a password costs
    /// a second.
    private static let template = Result {
        var template = Array("/tmp/program-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { FileTree.remove(path) }
        return try make(in: path)
    }

    /// Another repository's files, with other keys.
    static func make(in path: String) throws -> [String: [UInt8]] {
        let program = ProgramUnderTest(
            folder: path,
            environment: [
                "REPO_URL": "\(path)/repository", "REPO_CACHE_DIR": "\(path)/cache",
                "REPO_PASSWORD": password,
            ])
        let initialised = try program.run("init")
        try #require(initialised.status == 0, "\(initialised)")
        let added = try program.run("key", "add", "--out", "\(path)/\(keyName)")
        try #require(added.status == 0, "\(added)")
        var files = [keyName: try FileTree.read("\(path)/\(keyName)")]
        for file in FileTree.files("\(path)/repository") {
            files[String(file.dropFirst(path.utf8.count + "/repository/".utf8.count))] = try FileTree.read(
                file)
        }
        return files
    }

    deinit { FileTree.remove(path) }

    /// The stream as a snapshot of `name`; the id that was reported.
    @discardableResult
    func snapshot(_ name: String, _ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) throws
        -> String
    {
        let outcome = try program.run(["snapshot", "stdin", "--name", name, "--quiet"], input: bytes)
        try #require(outcome.status == 0, "\(outcome)", sourceLocation: sourceLocation)
        return outcome.text
    }

    /// Whether the snapshot's stream is these bytes.
    func expect(
        _ id: String, _ name: String, _ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let read = try program.run("cat", id, name)
        #expect(read.status == 0, "\(read)", sourceLocation: sourceLocation)
        #expect(read.output == bytes, "snapshot \(id) gives other bytes", sourceLocation: sourceLocation)
    }

    /// Ids of all snapshots, as `repo snapshots` tells.
    func snapshotIDs() throws -> Set<String> {
        let listed = try program.run("snapshots", "--json")
        try #require(listed.status == 0, "\(listed)")
        return Set(listed.text.split(separator: "\"").filter { $0.utf8.count == 64 }.map(String.init))
            .intersection(FileTree.names("\(repository)/snapshots"))
    }

    /// Reads everything that is stored and recomputes every id.
    func expectClean(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let checked = try program.run("check", "--read-data")
        #expect(checked.status == 0, "\(checked) \(checked.text)", sourceLocation: sourceLocation)
    }
}

/// Folders that are gone when the process ends: those of fixtures that tests share are never let go, and a program may write into one that was.
private enum RemovedAtExit {
    private static let paths: Monitor<[String]> = {
        atexit { for path in RemovedAtExit.paths.withLock({ $0 }) { FileTree.remove(path) } }
        return Monitor([])
    }()

    static func add(_ path: String) { paths.withLock { $0.append(path) } }
}

/// Directories by name.
enum FileTree {
    static func names(_ directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let record = readdir(stream) {
            let name = withUnsafePointer(to: &record.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Paths of all regular files below, sorted.
    static func files(_ directory: String) -> [String] {
        names(directory).flatMap { name in
            let path = "\(directory)/\(name)"
            var status = stat()
            guard lstat(path, &status) == 0 else { return [String]() }
            return status.st_mode & S_IFMT == S_IFDIR ? files(path) : [path]
        }
    }

    static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in names(path) { remove("\(path)/\(name)") }
        }
        _ = Glibc.remove(path)
    }

    static func read(_ path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0, "\(path)")
        defer { close(descriptor) }
        var status = stat()
        try #require(fstat(descriptor, &status) == 0)
        let size = Int(status.st_size)
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = Glibc.read(descriptor, buffer.baseAddress! + count, size - count)
                try #require(got > 0)
                count += got
            }
        }
    }

    static func write(_ path: String, _ bytes: [UInt8]) throws {
        makeParents(of: path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0, "\(path)")
        defer { close(descriptor) }
        try #require(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }

    private static func makeParents(of path: String) {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        let parent = String(path[..<slash])
        if access(parent, F_OK) == 0 { return }
        makeParents(of: parent)
        mkdir(parent, 0o700)
    }
}
