import Glibc
import PostgresTesting
import Storage
import StorageTesting
import Testing

/// What happens to what is locked in a repository, whatever the provider.
struct LockedPruning {
    let folder: String
    /// With a key, for the repository that `location` names.
    let program: ProgramUnderTest
    /// - Parameter options: behind the question mark.
    let location: (_ options: String) throws -> String
    /// The repository's, without a lock of its own.
    let store: any Store

    @discardableResult
    private func run(_ arguments: String..., options: String = "", expecting status: Int32 = 0) throws -> ProgramUnderTest.Outcome {
        let outcome = try program.with(["REPO_URL": try location(options)]).run(arguments)
        #expect(outcome.status == status, "\(arguments): \(outcome)")
        return outcome
    }

    /// Half a minute. A prune leaves locked packs alone, says so and until when, and frees them after that; what is needed stays locked.
    func run(_ mode: String) throws {
        let lock = "lock=\(mode):20s"
        var numbers = SeededNumbers(seed: 1)
        try FileTree.write(folder + "/tree/file", numbers.bytes(300_000))
        let gone = try run("snapshot", "files", folder + "/tree", "--quiet", options: lock).text
        try FileTree.write(folder + "/tree/file", numbers.bytes(300_000))
        let kept = try run("snapshot", "files", folder + "/tree", "--quiet", options: lock).text
        let forgotten = try run("forget", gone, options: lock)
        #expect(forgotten.errors.contains("the bucket keeps what was let go while it is locked"), "\(forgotten)")
        #expect(forgotten.errors.contains("'as-of='") == store.readsPast, "\(forgotten)")
        let locked = try run("prune", "--json", options: lock)
        #expect(locked.number("packs_deleted") == 0 && locked.number("bytes_freed") == 0, "\(locked.text)")
        #expect(locked.number("packs_locked") ?? 0 > 0 && locked.number("bytes_locked") ?? 0 > 300_000, "\(locked.text)")
        #expect(locked.text.contains("\"locked_until\":\"20"), "\(locked.text)")
        let said = try run("prune", options: lock).text
        #expect(said.contains("are locked until") && said.contains("a prune after that frees them"), "\(said)")
        sleep(21)
        let freed = try run("prune", "--json", options: lock)
        #expect(freed.number("packs_deleted") ?? 0 > 0 && freed.number("bytes_freed") ?? 0 > 300_000, "\(freed.text)")
        #expect(freed.number("packs_locked") == 0 && freed.number("locks_extended") ?? 0 > 0, "\(freed.text)")
        let hour = "lock=\(mode):1h"
        let extended = try run("storage", "extend-lock", "--json", options: hour)
        #expect(extended.number("extended") == extended.number("objects") && extended.number("objects") ?? 0 > 5, "\(extended.text)")
        #expect(try run("storage", "extend-lock", "--json", options: hour).number("extended") == 0)
        try run("check", "--read-data", options: lock)
        #expect(try run("cat", kept, folder + "/tree/file").output == FileTree.read(folder + "/tree/file"))
        try run("storage", "extend-lock", expecting: 2)
        // An index that is gone ends the collection, and lets no lock of the rest run out.
        for object in try store.list("index/") { try store.delete(object.key) }
        let broken = try run("prune", options: "lock=\(mode):4h", expecting: 12)
        #expect(broken.errors.contains("are kept up"), "\(broken)")
        #expect(try store.lockedUntil(.init("config")) ?? 0 > Int64(time(nil)) + 3 * 3600)
    }
}
