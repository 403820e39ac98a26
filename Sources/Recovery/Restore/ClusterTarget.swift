import Glibc
import PostgresFormats
import RepoBase
import Repository

/// Where a cluster is restored to: the data directory and the directories of its tablespaces, looked at before anything is touched.
struct ClusterTarget {
    struct Folder: Hashable {
        var path: String
        var isThere: Bool
        var isEmpty: Bool
    }

    struct Tablespace: Hashable {
        var oid: UInt32
        var folder: Folder
    }

    let data: Folder
    let tablespaces: [Tablespace]

    /// Throws `.refused` or `.usage` where something is in the way.
    init(_ options: ClusterRestoreOptions, _ facts: ClusterFacts) throws(RepoError) {
        data = try Self.folder(options.target, "the target")
        if let process = Self.runningServer(data.path) {
            throw RepoError(
                .refused, "a server is running in '\(data.path)' (process \(process))", advice: "Stop it: pg_ctl -D '\(data.path)' stop")
        }
        guard options.overwrite != .never else {
            throw RepoError(
                .usage, "a cluster cannot be restored around files that stay as they are", advice: "Use '--overwrite if-changed' or 'always'.")
        }
        let mayHoldFiles = options.overwrite != nil && options.deletes
        if !data.isEmpty, !options.makesSafetyCopy {
            guard mayHoldFiles else {
                throw RepoError(
                    .failed, "the target '\(data.path)' is not empty",
                    advice: "Name another; or '--overwrite if-changed --delete' to turn it into the restored cluster, "
                        + "'--safety-copy' to move it aside first.")
            }
            guard access(data.path + "/PG_VERSION", F_OK) == 0 else {
                throw RepoError(
                    .refused, "the target '\(data.path)' is not empty and not a data directory: it has no PG_VERSION",
                    advice: "Everything in it would be deleted. Name another target.")
            }
        }
        for name in options.tablespaces.keys.sorted()
        where !facts.tablespaces.contains(where: { $0.location == name || "\($0.oid)" == name }) {
            let known = facts.tablespaces.map { "\($0.location) (\($0.oid))" }.joined(separator: ", ")
            throw RepoError(
                .usage, "the cluster has no tablespace in '\(name)'",
                advice: known.isEmpty ? "It has no tablespaces." : "Its tablespaces: \(known).")
        }
        var tablespaces: [Tablespace] = []
        for tablespace in facts.tablespaces {
            let mapped = options.tablespaces[tablespace.location] ?? options.tablespaces["\(tablespace.oid)"]
            let folder = try Self.folder(mapped ?? tablespace.location, "the folder of tablespace \(tablespace.oid)")
            // Where it stood may be where the running server has it.
            let isOriginal = mapped == nil && facts.settings["data_directory"] != data.path
            guard folder.isEmpty || !isOriginal && (mayHoldFiles || options.makesSafetyCopy) else {
                throw RepoError(
                    .refused, "tablespace \(tablespace.oid) stood in '\(tablespace.location)', and '\(folder.path)' is not empty",
                    advice: "Give it another place: --tablespace '\(tablespace.location)=/new/folder'.")
            }
            guard folder.path != data.path, !folder.path.hasPrefix(data.path + "/") else {
                throw RepoError(.usage, "tablespace \(tablespace.oid) cannot be inside the data directory '\(data.path)'")
            }
            guard !tablespaces.contains(where: { $0.folder.path == folder.path }) else {
                throw RepoError(.usage, "two tablespaces cannot share '\(folder.path)'")
            }
            tablespaces.append(Tablespace(oid: tablespace.oid, folder: folder))
        }
        self.tablespaces = tablespaces
    }

    static func folder(_ path: String, _ what: String) throws(RepoError) -> Folder {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard path.hasPrefix("/"), path != "/", !path.contains("\n"), !path.contains("\0") else {
            throw RepoError(.usage, "\(what) '\(path)' cannot be used", advice: "Name a directory by its whole path.")
        }
        guard let names = try names(path, what) else { return Folder(path: path, isThere: false, isEmpty: true) }
        return Folder(path: path, isThere: true, isEmpty: names.allSatisfy { $0 == "lost+found" })
    }

    /// Nil where there is no such directory.
    private static func names(_ path: String, _ what: String) throws(RepoError) -> [String]? {
        guard let stream = opendir(path) else {
            guard errno == ENOENT else {
                throw RepoError(.failed, "\(what) '\(path)' cannot be opened: \(String(cString: strerror(errno)))")
            }
            return nil
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let record = readdir(stream) {
            let name = withUnsafePointer(to: &record.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The process id in `postmaster.pid`, when that process lives and works in the directory, or cannot be looked at.
    static func runningServer(_ data: String) -> pid_t? {
        guard let text = TextFile.read(data + "/postmaster.pid"), let line = text.split(separator: "\n").first,
            let process = pid_t(line.filter { $0 != " " }), process > 0
        else { return nil }
        guard kill(process, 0) == 0 || errno == EPERM else { return nil }
        // The number may be another program's by now: the server's working directory is its data directory.
        var (here, there) = (stat(), stat())
        guard stat(data, &here) == 0 else { return nil }
        guard stat("/proc/\(process)/cwd", &there) == 0 else { return process }
        return here.st_ino == there.st_ino && here.st_dev == there.st_dev ? process : nil
    }
}
