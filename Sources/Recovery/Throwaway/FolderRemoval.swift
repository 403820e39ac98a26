import Glibc
import RepoBase

/// Removes a folder with all that is in it, while others may still be writing into it.
///
/// Every name is reached from its directory's descriptor, and no link is followed: what is in there may belong to another user, who could replace a
/// directory by a link meanwhile.
enum FolderRemoval {
    /// Levels that are gone down into, each with a descriptor and some of the stack. What lies deeper is moved to the top first: a snapshot may have 65,536 levels.
    private static let levels = 64

    /// One removal.
    private struct Pass {
        let top: CInt
        let device: dev_t
        var moved = 0
        var failure: String?
    }

    /// Throws `.failed`, naming the first thing that could not be removed. What is not there is no failure. Not across file systems.
    static func remove(_ path: String) throws(RepoError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        var failure: String?
        // A server that was just killed may add a file behind our back: a few rounds outrun it.
        for _ in 0..<5 {
            failure = nil
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if descriptor >= 0 {
                var pass = Pass(top: descriptor, device: status.st_dev)
                var before: Int
                repeat {
                    before = pass.moved
                    empty(descriptor, path, levels, &pass)
                } while pass.moved > before
                failure = pass.failure
                close(descriptor)
            }
            if rmdir(path) == 0 || errno == ENOENT { return }
            failure = failure ?? "'\(path)': \(String(cString: strerror(errno)))"
            usleep(100_000)
        }
        throw RepoError(.failed, "cannot remove \(failure ?? "'\(path)'")", advice: "Remove it by hand: rm -rf \(ShellWord.quoted(path))")
    }

    private static func empty(_ directory: CInt, _ path: String, _ levels: Int, _ pass: inout Pass) {
        for name in names(directory) {
            let place = "\(path)/\(String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))"
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            if isDirectory {
                guard status.st_dev == pass.device else {
                    pass.failure = pass.failure ?? "'\(place)': it is a mount point"
                    continue
                }
                if levels == 0 {
                    if unlinkat(directory, name, AT_REMOVEDIR) == 0 { continue }
                    // One that cannot be moved cannot be written to, and so not be emptied either.
                    if renameat(directory, name, pass.top, "moved-\(pass.moved)-\(status.st_ino)") == 0 {
                        pass.moved += 1
                    } else {
                        pass.failure = pass.failure ?? "'\(place)': \(String(cString: strerror(errno)))"
                    }
                    continue
                }
                let below = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                if below >= 0 {
                    empty(below, place, levels - 1, &pass)
                    close(below)
                }
            }
            guard unlinkat(directory, name, isDirectory ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT else {
                pass.failure = pass.failure ?? "'\(place)': \(String(cString: strerror(errno)))"
                continue
            }
        }
    }

    /// With the zero byte at the end of each.
    private static func names(_ directory: CInt) -> [[CChar]] {
        // The stream takes over the descriptor that it is given; a position of its own.
        let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { return [] }
        guard let stream = fdopendir(copy) else {
            close(copy)
            return []
        }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let record = readdir(stream) {
            let name = withUnsafePointer(to: &record.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1)) }
            }
            if name != [46, 0], name != [46, 46, 0] { names.append(name) }
        }
        return names
    }
}
