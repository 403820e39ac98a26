import RepoBase
import Testing

@testable import SimulationTesting

/// Whose turn it is, and what time.
@Suite struct SimulationSchedulerTests {
    private static func host(_ name: String) -> SimulatedHost { SimulatedHost(name: name, cacheDirectory: "", processors: 1) }

    /// The order in which three threads come to their steps.
    private static func order(seed: UInt64) -> [String] {
        let scheduler = SimulationScheduler(seed: seed, switchChance: 1)
        let steps = Monitor<[String]>([])
        let isDone = scheduler.run(
            ["a", "b", "c"].map { name in
                ScheduledThread(scheduler.makeProcess(on: host(name), name)) {
                    for number in 0..<5 {
                        steps.withLock { $0.append("\(name)\(number)") }
                        scheduler.yield(SimulationScheduler.current)
                    }
                }
            })
        #expect(isDone)
        return steps.withLock { $0 }
    }

    @Test func theSeedDecidesTheOrder() {
        let orders = (1...20).map { Self.order(seed: $0) }
        #expect(orders == (1...20).map { Self.order(seed: $0) })
        #expect(Set(orders).count > 15)
    }

    @Test func timeJumpsWhereAllWait() {
        let scheduler = SimulationScheduler(seed: 1, switchChance: 1)
        let woken = Monitor<[Duration]>([])
        let bodies = [9, 3, 6].map { days in
            ScheduledThread(scheduler.makeProcess(on: Self.host("\(days)"), "")) {
                SystemClock.sleep(.seconds(days * 86_400))
                woken.withLock { $0.append(SystemClock.elapsed()) }
            }
        }
        #expect(scheduler.run(bodies))
        #expect(woken.withLock { $0 } == [3, 6, 9].map { .seconds($0 * 86_400) })
    }

    @Test func threadsThatAThreadStartsBelongToItsProcess() {
        let scheduler = SimulationScheduler(seed: 1, switchChance: 1)
        let names = Monitor<[String]>([])
        let body = ScheduledThread(scheduler.makeProcess(on: Self.host("db1"), "")) {
            let queue = BoundedQueue<Int>(limit: 1)
            let thread = WorkerThread {
                while let number = queue.pop() { names.withLock { $0.append("\(MachineNames.host) \(number)") } }
            }
            for number in 0..<3 { queue.push(number) }
            queue.close()
            thread.join()
        }
        #expect(scheduler.run([body]))
        #expect(names.withLock { $0 } == ["db1 0", "db1 1", "db1 2"])
    }

    /// The threads that wait for one another are left as they are.
    @Test func waitingForOneAnotherIsFoundOut() {
        let scheduler = SimulationScheduler(seed: 1, switchChance: 1)
        let never = Monitor(false)
        let body = ScheduledThread(scheduler.makeProcess(on: Self.host("a"), "the one that waits")) {
            never.wait { $0 ? () : nil }
        }
        #expect(!scheduler.run([body]))
        #expect(scheduler.waiting.first?.contains("the one that waits") == true)
    }

    @Test func aTimedWaitEndsByTheSimulatedClock() {
        let scheduler = SimulationScheduler(seed: 1, switchChance: 1)
        let state = Monitor(0)
        let body = ScheduledThread(scheduler.makeProcess(on: Self.host("a"), "")) {
            #expect(!state.wait(upTo: 600, until: { $0 > 0 }))
            #expect(SystemClock.elapsed() == .seconds(600))
            let thread = WorkerThread {
                SystemClock.sleep(.seconds(10))
                state.update { $0 = 1 }
            }
            #expect(state.wait(upTo: 600, until: { $0 > 0 }))
            #expect(SystemClock.elapsed() == .seconds(610))
            thread.join()
        }
        #expect(scheduler.run([body]))
    }

    @Test func threadsOutsideOfSimulationsAskTheSystem() {
        let before = SystemClock.now()
        #expect(before.seconds > 1_700_000_000)
        SystemClock.sleep(.milliseconds(2))
        #expect(SystemClock.now() > before)
        #expect(ProcessIdentity.own.processID > 0)
    }
}
