import Glibc
import Testing

/// Restoring without the right to give files away, as everybody but root does.
@Suite("The program restoring without privileges", .enabled(if: geteuid() == 0, "owners can be chosen by root alone"))
struct ProgramOwnerTests {
    @Test("Owners that cannot be set are told once, and everything else is restored")
    func withoutOwners() throws {
        let folder = try ProgramFolder()
        for name in ["a", "b"] {
            try FileTree.write("\(folder.path)/source/\(name)", Array(name.utf8))
            try #require(chown("\(folder.path)/source/\(name)", 12_345, 54_321) == 0)
            try #require(chmod("\(folder.path)/source/\(name)", 0o4751) == 0)
        }
        let snapshot = try folder.program.run("snapshot", "files", "\(folder.path)/source")
        try #require(snapshot.status == 0, "\(snapshot)")
        let target = "\(folder.path)/target"
        let outcome = try folder.program.through(["/usr/bin/setpriv", "--bounding-set=-chown"])
            .run("restore", "latest", "--target", target)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome)")
        #expect(outcome.errors.contains("2 entries belong to you"), "\(outcome)")
        for name in ["a", "b"] {
            var status = stat()
            try #require(stat("\(target)\(folder.path)/source/\(name)", &status) == 0)
            // A set-user-id bit would now give away the rights of whoever restored it.
            #expect(status.st_uid == 0 && status.st_mode & 0o7777 == 0o751)
            #expect(try FileTree.read("\(target)\(folder.path)/source/\(name)") == Array(name.utf8))
        }
    }
}
