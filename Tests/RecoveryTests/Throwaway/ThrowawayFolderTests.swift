import Glibc
import RepoBase
import Testing

@testable import Recovery

/// Folders that nothing must be left of, and that nothing else must be taken for.
@Suite("Throwaway folders")
struct ThrowawayFolderTests {
    private let scratch: String

    init() throws {
        var template = Array("/tmp/throwaway-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        scratch = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private func make(_ path: String, _ content: String = "x") throws {
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        try #require(descriptor >= 0)
        _ = write(descriptor, content, content.utf8.count)
        close(descriptor)
    }

    private func isThere(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// The name that a process of this host would give, with parts of it changed.
    private func name(_ folder: ThrowawayFolder, _ change: (inout [String]) -> Void) -> String {
        var parts = folder.path.split(separator: "/").last!.split(separator: ".").map(String.init)
        change(&parts)
        return "\(scratch)/\(parts.joined(separator: "."))"
    }

    @Test("what a process that is gone has left is removed; what lives, was kept, or is another host's stays")
    func leftovers() throws {
        let own = try ThrowawayFolder(in: scratch)
        // Process numbers end below 2^22 (PID_MAX_LIMIT).
        let dead = name(own) { $0[3] = "4194305" }
        let reused = name(own) { $0[4] = "1" }
        let rebooted = name(own) { $0[2] = "00000000" }
        let foreign = name(own) { ($0[1], $0[3]) = ("00000000", "4194305") }
        let kept = name(own) { ($0[3], $0[5]) = ("4194305", "aaaa") }
        let unlike = "\(scratch)/repo-throwaway.notes"
        for path in [dead, reused, rebooted, foreign, kept, unlike] {
            try #require(mkdir(path, 0o700) == 0)
            try make(path + "/file")
        }
        try make(kept + "/keep")
        let trap = name(own) { ($0[3], $0[5]) = ("4194305", "bbbb") }
        try #require(symlink(unlike, trap) == 0)
        #expect(try Set(ThrowawayFolder.removeLeftovers(in: scratch)) == [dead, reused, rebooted])
        for path in [own.path, foreign, kept, unlike, unlike + "/file", trap] { #expect(isThere(path), "\(path)") }
        try own.remove()
        #expect(!isThere(own.path))
        try own.remove()
        try FolderRemoval.remove(scratch)
    }

    @Test("a folder that is in use by a process whose number means nothing here is told by its lock")
    func locked() throws {
        let own = try ThrowawayFolder(in: scratch)
        let other = name(own) { $0[3] = "4194305" }
        try #require(mkdir(other, 0o700) == 0)
        let descriptor = open(other, O_RDONLY | O_DIRECTORY)
        try #require(flock(descriptor, LOCK_EX) == 0)
        #expect(try ThrowawayFolder.removeLeftovers(in: scratch).isEmpty)
        close(descriptor)
        #expect(try ThrowawayFolder.removeLeftovers(in: scratch) == [other])
        try own.remove()
        try FolderRemoval.remove(scratch)
    }

    @Test("a tree of 2,000 levels goes as well, with files on the way and another branch beside it")
    func deep() throws {
        let folder = try ThrowawayFolder(in: scratch)
        for (branch, levels) in [("a", 2000), ("b", 100)] {
            var directory = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            for level in 0..<levels {
                let name = level == 0 ? branch : "d"
                try #require(mkdirat(directory, name, 0o700) == 0)
                let below = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                try #require(below >= 0)
                close(directory)
                directory = below
                if level % 100 == 0 { close(openat(directory, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)) }
            }
            close(directory)
        }
        try folder.remove()
        #expect(!isThere(folder.path))
        try FolderRemoval.remove(scratch)
    }

    @Test("removing goes through no link, and what is kept stays")
    func links() throws {
        try #require(mkdir(scratch + "/precious", 0o700) == 0)
        try make(scratch + "/precious/file")
        let folder = try ThrowawayFolder(in: scratch)
        try #require(mkdir(folder.path + "/below", 0o700) == 0)
        try #require(symlink(scratch + "/precious", folder.path + "/below/link") == 0)
        try #require(mkfifo(folder.path + "/below/fifo", 0o600) == 0)
        try folder.remove()
        #expect(!isThere(folder.path) && isThere(scratch + "/precious/file"))
        let kept = try ThrowawayFolder(in: scratch)
        try kept.keep()
        try kept.remove()
        #expect(isThere(kept.path))
        try FolderRemoval.remove(scratch)
        #expect(!isThere(scratch))
    }

    @Test("a scratch folder that is none is refused")
    func place() throws {
        try make(scratch + "/file")
        for path in ["relative", scratch + "/nothing", scratch + "/file"] {
            #expect(throws: RepoError.self) { try ThrowawayFolder.requirePlace(path) }
        }
        #expect { try ThrowawayFolder.requireRoom(scratch, 1 << 60, "the cluster") } throws: { ($0 as? RepoError)?.code == .storeFull }
        try ThrowawayFolder.requireRoom(scratch, 1, "the cluster")
        try FolderRemoval.remove(scratch)
    }
}
