import Glibc
import RepoBase

// Whose a repository is. Root that stores in another user's (a cron line for all sources, a restore test) would leave folders and files there
// that this user can neither read nor write in, and the server's next segment of the log would be refused. So root gives them away.
extension LocalStore {
    /// Gives a new file to the owner of the store's directory. Does nothing unless root stores for somebody else.
    ///
    /// What cannot be given away stays root's: file servers may map root to nobody, containers may forbid it.
    func giveAway(_ descriptor: CInt, _ path: String) {
        guard let owner = root.heir else { return }
        // Where its owner led us elsewhere by a symbolic link, it is not in the store, and not theirs.
        guard let folder = folderWithoutLinks(StorePath.parent(of: path)) else { return }
        defer { close(folder) }
        var mine = Glibc.stat()
        var there = Glibc.stat()
        guard fstat(descriptor, &mine) == 0, fstatat(folder, StorePath.name(of: path), &there, AT_SYMLINK_NOFOLLOW) == 0,
            mine.st_ino == there.st_ino, mine.st_dev == there.st_dev
        else { return }
        _ = fchown(descriptor, owner.user, owner.group)
    }

    /// The same with a new directory.
    func giveAwayDirectory(_ path: String) {
        guard let owner = root.heir, let folder = folderWithoutLinks(path) else { return }
        defer { close(folder) }
        _ = fchown(folder, owner.user, owner.group)
    }

    /// A directory below the store's, reached without following any symbolic link; nil where that is not possible. Links of their making could lead root
    /// anywhere.
    private func folderWithoutLinks(_ path: String) -> CInt? {
        var folder = openat(root.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        for part in path.split(separator: "/") where folder >= 0 {
            let next = openat(folder, String(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            close(folder)
            folder = next
        }
        return folder < 0 ? nil : folder
    }
}
