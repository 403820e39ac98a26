import Foundation
import Testing

@testable import RepoCLI

/// A cache is no reason for a restore not to work: its disk may be full, or a rescue system's that nothing may be written to.
@Suite("A cache that cannot be written") struct UnusableCacheTests {
    @Test func everythingWorksWithoutAndSaysSoOnce() throws {
        let session = try CommandSession()
        try session.file("tree/a", String(repeating: "content ", count: 20_000))
        let unusable = session.folder + "/tree/a/cache"
        func run(_ words: String...) -> CommandSession.Outcome {
            let outcome = session.run(words + ["--cache-dir", unusable])
            let told = outcome.errors.components(separatedBy: "is kept in memory for this run").count - 1
            #expect(outcome.status == 0 && told <= (words[0] == "copy" ? 2 : 1), "\(words): \(outcome.errors)")
            if ["cat", "restore", "check", "find"].contains(words[0]) {
                #expect(told == 1 && outcome.errors.contains("Not a directory"), "\(words): \(outcome.errors)")
            }
            return outcome
        }
        let made = run("snapshot", "files", session.folder + "/tree", "--name", "tree")
        #expect(made.id.count == 64)
        _ = run("snapshot", "files", session.folder + "/tree", "--name", "tree")
        #expect(run("snapshots").output.contains("tree"))
        #expect(run("cat", "latest:tree", session.folder + "/tree/a").output.utf8.count == 160_000)
        _ = run("restore", "latest:tree", "--target", session.folder + "/out")
        #expect(try String(contentsOfFile: session.folder + "/out" + session.folder + "/tree/a", encoding: .utf8).utf8.count == 160_000)
        #expect(run("check", "--read-data").errors.contains("what this check has verified is not remembered"))
        _ = run("find", "a")
        _ = run("ls", "latest:tree")
        _ = run("stats")
        _ = run("forget", "--keep-last", "1")
        _ = run("prune")
        _ = run("repair", "index")
        _ = run("init", "--repo", session.folder + "/copy", "--copy-of", session.folder + "/repository")
        _ = run("copy", "--to", session.folder + "/copy")
        #expect(session.run("check", "--read-data").status == 0)
        #expect(session.run("check", "--read-data", "--repo", session.folder + "/copy").status == 0)
    }
}
