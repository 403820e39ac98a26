import Glibc
import RepoBase

/// Folders of simulated hosts: in memory, where the system has a tmpfs.
enum TemporaryFolder {
    private static let count = Monitor(0)
    private static let base: String = {
        let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        return "\(parent)/repo-simulation-\(getpid())"
    }()

    /// A name that no other of this process has.
    static func path(_ name: String) -> String {
        let number = count.withLock { count in
            count += 1
            return count
        }
        mkdir(base, 0o700)
        return "\(base)/\(number)-\(name)"
    }

    /// Removes a folder and everything below it.
    static func remove(_ path: String) {
        guard let directory = opendir(path) else { return }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        closedir(directory)
        for name in names {
            let below = "\(path)/\(name)"
            if unlink(below) != 0 { remove(below) }
        }
        rmdir(path)
        // The last of this process.
        rmdir(base)
    }
}
