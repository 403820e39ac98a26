import Glibc
import RepoBase
import Repository
import Storage
import StorageTesting
import Testing

@testable import Ingest

/// The walk runs ahead of what reads files: neither may be stuck when the other ends, and nothing is taken otherwise than in turn.
@Suite("Files are read behind the walk")
struct FilesFeedTests {
    /// Ends the run where one of these hangs. A time limit of the test library's would count the wait for a thread, too, which in a whole run is minutes.
    private final class Watchdog: Sendable {
        private let isDone = Monitor(false)

        init(_ name: StaticString = #function) {
            _ = Unmanaged.passRetained(
                WorkerThread { [isDone] in
                    for _ in 0..<1200 {
                        // Real time: it is about real threads.
                        usleep(100_000)
                        if isDone.withLock({ $0 }) { return }
                    }
                    fatalError("\(name) hangs")
                })
        }

        func end() { isDone.withLock { $0 = true } }
    }

    private func content(_ seed: Int, _ count: Int) -> [UInt8] {
        var state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    @Test("A store that fails ends the snapshot while the walk is far ahead")
    func storeFails() throws {
        let watchdog = Watchdog()
        defer { watchdog.end() }
        let fixture = try RestoreFixture()
        for number in 0..<1500 { fixture.source.write(Array("file-\(number)".utf8), content(number, 20_000)) }
        let full = RepoError(.storeFull, "there is no room", advice: "")
        let store = FaultingStore(fixture.store) { operation in
            operation.kind == .put && operation.name.hasPrefix("packs/") ? .failBefore(full) : nil
        }
        let repository = try OpenRepository(
            store: store, keys: fixture.repository.keys, cacheDirectory: fixture.place.text("cache"))
        let description = SourceDescription(name: "files", host: "host", user: "user")
        #expect(throws: full) {
            _ = try FilesSource(description, paths: [fixture.source.path]).run(repository)
        }
        #expect(try fixture.store.list("snapshots/").isEmpty)
        #expect(try fixture.store.list("writers/").isEmpty)
    }

    @Test("A snapshot that is cancelled from outside ends, however far the walk is")
    func cancelled() throws {
        let watchdog = Watchdog()
        defer { watchdog.end() }
        let fixture = try RestoreFixture()
        for number in 0..<600 { fixture.source.write(Array("file-\(number)".utf8), content(number, 3000)) }
        let description = SourceDescription(name: "files", host: "host", user: "user")
        #expect(throws: RepoError.self) {
            _ = try FilesSource(description, paths: [fixture.source.path]).run(
                fixture.repository, onStart: { _ = $0.running.cancel() })
        }
        #expect(try fixture.store.list("snapshots/").isEmpty)
    }

    @Test("Names of one file share its content, and it is read once, whether it has changed or not")
    func links() throws {
        let watchdog = Watchdog()
        defer { watchdog.end() }
        let fixture = try RestoreFixture()
        let bytes = content(1, 30_000)
        fixture.source.write(Array("a".utf8), bytes)
        for number in 0..<300 { #expect(link(fixture.source.text("a"), fixture.source.text("b\(number)")) == 0) }
        let first = try fixture.snapshot()
        #expect(first.statistics.bytesRead == 30_000)
        #expect(first.statistics.filesNew == 1)
        #expect(first.statistics.filesUnmodified == 300)
        // What was written within the same moment as the snapshot is read again.
        let past = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
        utimensat(AT_FDCWD, fixture.source.text("a"), past, 0)
        let second = try fixture.snapshot()
        #expect(second.statistics.bytesRead == 30_000)
        #expect(second.statistics.filesUnmodified == 300)
        #expect(second.root != first.root)
    }

    @Test("A file that is read again because its times are young is counted by what is in it")
    func youngFiles() throws {
        let watchdog = Watchdog()
        defer { watchdog.end() }
        let fixture = try RestoreFixture()
        for number in 0..<20 { fixture.source.write(Array("file-\(number)".utf8), content(number, 3000)) }
        fixture.source.write(Array("empty".utf8), [])
        fixture.source.write(Array("large".utf8), content(30, 3_000_000))
        let first = try fixture.snapshot()
        #expect(first.statistics.filesNew == 22)
        let second = try fixture.snapshot()
        #expect(second.statistics.bytesRead == first.statistics.bytesRead)
        #expect(second.statistics.filesChanged == 0 && second.statistics.filesUnmodified == 22)
        // Other content, the same content written again, other times.
        fixture.source.write(Array("file-0".utf8), content(40, 3000))
        fixture.source.write(Array("file-1".utf8), content(1, 3000))
        let past = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
        utimensat(AT_FDCWD, fixture.source.text("file-2"), past, 0)
        let third = try fixture.snapshot()
        #expect(third.statistics.filesChanged == 3 && third.statistics.filesUnmodified == 19 && third.statistics.filesNew == 0)
    }
}
