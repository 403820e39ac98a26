import RepoBase
import Storage
import StorageRemote
import StorageTesting
import Testing

@Suite("Contract of a store, in S3")
struct S3ConformanceTests {
    @Test("on SeaweedFS", arguments: StoreConformance.checks)
    func seaweed(_ check: StoreConformance) throws {
        try check.run(on: SeaweedServer.running().store())
    }
}
