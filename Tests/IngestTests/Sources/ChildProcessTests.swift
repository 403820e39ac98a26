import Glibc
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

@Suite struct ChildProcessTests {
    private static func isRunning(_ text: String) -> Bool {
        guard let id = pid_t(text) else { return false }
        return kill(id, 0) == 0
    }

    /// Reads a line that the child writes.
    private static func line(_ child: ChildProcess) -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(child.output, &byte, 1) == 1, byte != 10 { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func oneThatIgnoresTheRequestIsMadeToEnd() throws {
        let child = try ChildProcess(["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.05; done"])
        let id = Self.line(child)
        #expect(Self.isRunning(id))
        child.kill(after: .milliseconds(200))
        #expect(child.wait() == .signalled(SIGKILL))
        #expect(!Self.isRunning(id))
        child.kill()
        #expect(child.wait() == .signalled(SIGKILL), "ending it twice is harmless")
    }

    @Test func oneThatHeedsItEndsAtOnce() throws {
        let child = try ChildProcess(["sleep", "1000"])
        let clock = ContinuousClock.now
        child.kill(after: .seconds(60))
        #expect(child.wait() == .signalled(SIGTERM))
        #expect(ContinuousClock.now - clock < .seconds(30))
    }

    @Test func anExitIsTold() throws {
        let child = try ChildProcess(["sh", "-c", "exit 7"])
        #expect(child.wait() == .exited(7))
        #expect(child.wait() == .exited(7))
    }

    /// A thread that waits for the end learns of it when another one brings it about.
    @Test func aWaitingThreadIsReleased() throws {
        let child = try ChildProcess(["sleep", "1000"])
        let waiter = WorkerThread { #expect(child.wait() == .signalled(SIGTERM)) }
        child.kill()
        waiter.join()
    }

    /// A silent command that would run on when its snapshot was cancelled.
    @Test func aCancelledSnapshotEndsItsCommand() throws {
        let fixture = try RestoreFixture()
        let place = try TemporaryDirectory()
        let file = place.text("pid")
        let source = try CommandSource(
            SourceDescription(name: "dump", host: "host", user: "user"),
            command: ["sh", "-c", "echo $$ > \(file).new; mv \(file).new \(file); exec sleep 1000"])
        let running = Monitor<RunningSnapshot?>(nil)
        let canceller = WorkerThread {
            running.wait { $0 == nil ? nil : () }
            while access(file, F_OK) != 0 { usleep(5_000) }
            #expect(running.withLock { $0 }?.cancel() == true)
        }
        var failure: RepoError?
        do {
            _ = try source.run(fixture.repository) { writer in
                let started = writer.running
                running.update { $0 = started }
            }
        } catch { failure = error as? RepoError }
        canceller.join()
        #expect(failure?.code == .interrupted)
        let text = String(
            decoding: try #require(LocalFolder.contents(file, atMost: 100)).dropLast(), as: UTF8.self)
        #expect(!Self.isRunning(text))
        #expect(try fixture.store.list("snapshots/").isEmpty)
    }
}
