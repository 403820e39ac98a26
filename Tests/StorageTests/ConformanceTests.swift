import RepoBase
import Storage
import StorageTesting
import Testing

@Suite("Contract of a store")
struct ConformanceTests {
    @Test("in memory", arguments: StoreConformance.checks)
    func memory(_ check: StoreConformance) throws {
        try check.run(on: MemoryStore())
    }

    @Test("in a directory", arguments: StoreConformance.checks)
    func directory(_ check: StoreConformance) throws {
        let folder = try TemporaryDirectory()
        try check.run(on: LocalStore(path: folder.path, mustExist: true))
        #expect(!folder.contents().contains { $0.contains(".tmp-") }, "no temporary file is left")
    }

    @Test("in a directory on a file system without renameat2", arguments: StoreConformance.checks)
    func links(_ check: StoreConformance) throws {
        let folder = try TemporaryDirectory()
        let calls = LocalStoreCalls { call, _ in call == .renameNoReplace ? .fail(22) : .proceed }
        try check.run(on: LocalStore(path: folder.path, mustExist: true, calls: calls))
        #expect(!folder.contents().contains { $0.contains(".tmp-") }, "no temporary file is left")
    }
}

@Suite("Contract of a store, through decorators")
struct DecoratorConformanceTests {
    @Test("that tries again, over a store that loses one answer in ten", arguments: StoreConformance.checks)
    func retrying(_ check: StoreConformance) throws {
        let faulting = FaultingStore(
            MemoryStore(), plan: FaultingStore.unreachable(seed: 7, probability: 0.1))
        guard check.description != StoreConformance.equalBytes.description else {
            return try check.run(on: RetryingStore(MemoryStore()))
        }
        try check.run(on: RetryingStore(faulting, clock: TestClock().clock))
    }

    @Test("that throttles", arguments: StoreConformance.checks)
    func throttled(_ check: StoreConformance) throws {
        let store = ThrottledStore(
            MemoryStore(), uploadBytesPerSecond: 1000, downloadBytesPerSecond: 1000,
            clock: TestClock().clock)
        try check.run(on: store)
    }

    @Test("whose concurrency adapts", arguments: StoreConformance.checks)
    func adaptive(_ check: StoreConformance) throws { try check.run(on: AdaptiveStore(MemoryStore())) }

    @Test("that counts, and that could fail but does not", arguments: StoreConformance.checks)
    func counting(_ check: StoreConformance) throws {
        try check.run(on: CountingStore(FaultingStore(MemoryStore())))
    }
}
