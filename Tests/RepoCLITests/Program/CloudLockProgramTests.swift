import Glibc
import PostgresTesting
import StorageTesting
import Testing

/// The program on protocol fakes of Azure Blob and Google Cloud Storage with versions and locks: what passes is emulated, not tried on the providers.
@Suite("A repository with locks in Azure and at Google, emulated")
struct CloudLockProgramTests {
    private static let providers: [EmulatedCloud.Provider] = [.azure, .google]

    @Test(
        "emulated: init proves the lock, a prune leaves locked packs alone, says so and until when, and frees them after that; what is needed stays locked",
        arguments: providers)
    func prune(_ provider: EmulatedCloud.Provider) throws {
        var template = Array("/tmp/cloud-lock-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { FileTree.remove(folder) }
        let cloud = try EmulatedCloud.running(provider)
        let prefix = SeaweedServer.uniquePrefix()
        func location(_ options: String) -> String { cloud.location(prefix, bucket: EmulatedCloud.lockingBucket, options: options) }
        let program = ProgramUnderTest(
            folder: folder,
            environment: cloud.environment.merging([
                "REPO_URL": location("lock=compliance:20s"), "REPO_CACHE_DIR": folder + "/cache", "REPO_CONFIG": "/dev/null", "REPO_KEY_FILE": folder + "/key",
            ]) { $1 })
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"])
        let refused = try first.with(["REPO_URL": cloud.location(prefix, options: "lock=compliance:20s")]).run("init")
        #expect(refused.status != 0 && refused.errors.contains("an object that is locked cannot be stored"), "\(refused)")
        for command in [["init"], ["key", "add", "--out", folder + "/key"]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(outcome)")
        }
        // Deletes what is locked, and changes no lock.
        let store = try cloud.store(prefix, bucket: EmulatedCloud.lockingBucket, location: "lock=compliance:1s")
        try LockedPruning(folder: folder, program: program, location: location, store: store).run("compliance")
    }
}
