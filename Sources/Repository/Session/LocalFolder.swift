import Glibc
import RepoBase

/// Folders of this machine: caches and other local state, readable by their owner alone.
enum LocalFolder {
    /// Makes the folder and its parents, mode 0700. An existing one is left as it is.
    static func make(_ path: String) throws(RepoError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        let status = errno
        if status == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try make(String(path[..<slash]))
            if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        }
        throw RepoError(
            .failed, "cannot make the folder \(path): \(String(cString: strerror(status)))",
            advice: "Name another one with --cache-dir.")
    }

    /// The names in it, without `.` and `..`, in no order.
    static func names(in path: String) throws(RepoError) -> [String] {
        guard let directory = opendir(path) else {
            throw RepoError(.failed, "cannot read the folder \(path): \(String(cString: strerror(errno)))")
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
