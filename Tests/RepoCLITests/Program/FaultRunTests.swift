import Glibc
import RepoBase
import StorageTesting
import Testing

/// Snapshots, forgetting, pruning, copies and restores on a real S3 server and on fakes of Azure and Google, behind a proxy that does to requests what
/// networks do, again and again.
///
/// `REPO_FAULTS=N` injects at least so many faults at each (`tools/verify faults`), `REPO_FAULTS_SEED=N` draws others.
@Suite("Work through a network that fails")
struct FaultRunTests {
    private static let target = getenv("REPO_FAULTS").flatMap { Int(String(cString: $0)) }
    private static let seed = getenv("REPO_FAULTS_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_261_121

    /// Of requests, in hundredths.
    private static let share = 8

    /// Repositories that are worked on at once: most of the time of one is spent waiting to try again.
    private static let worlds = (target ?? 0) >= 1000 ? 8 : 1

    /// What becomes of a request, by its place in the run alone. A request that hangs costs half a minute until the client gives it up: in long runs only.
    private static func fault(_ ordinal: Int, _ world: Int) -> ProxyFault? {
        var numbers = SeededNumbers(seed: seed &+ UInt64(ordinal) &+ UInt64(world) << 32)
        guard Int.random(in: 0..<100, using: &numbers) < share else { return nil }
        if target ?? 0 >= 1000, Int.random(in: 0..<500, using: &numbers) == 0 { return .hang }
        switch Int.random(in: 0..<16, using: &numbers) {
        case 0, 1: return .resetBefore
        case 2, 3: return .loseAnswer
        case 4, 5: return .cutAnswer(after: Int.random(in: 0..<3000, using: &numbers))
        case 6: return .answer(status: 500)
        case 7: return .answer(status: 503)
        case 8: return .answer(status: 429)
        case 9: return .answer(status: 502)
        case 10: return .duplicate
        case 11: return .damageBody
        case 12: return .damageAnswer
        case 13: return .drip(bytes: 1 << 14, pause: 0.005)
        default: return .delay(seconds: Double(Int.random(in: 0..<300, using: &numbers)) / 1000)
        }
    }

    @Test("Nothing is lost and no wrong byte comes back, whatever happens to requests: on S3", .timeLimit(.minutes(150)))
    func seaweed() throws { try faults(FaultyServer(SeaweedServer.running()), Self.target ?? 100) }

    @Test("emulated: the same in Azure and at Google", .timeLimit(.minutes(150)), arguments: [EmulatedCloud.Provider.azure, .google])
    func clouds(_ provider: EmulatedCloud.Provider) throws { try faults(FaultyServer(EmulatedCloud.running(provider)), Self.target ?? 40) }

    private struct Tally {
        var faults: [String: Int] = [:]
        var requests = 0
        var rounds = 0
        var refusals = 0
        var problem: (any Error)?
        var count: Int { faults.values.reduce(0, +) }
    }

    private func faults(_ server: FaultyServer, _ target: Int) throws {
        let tally = Monitor(Tally())
        let threads = (0..<Self.worlds).map { world in
            WorkerThread {
                do {
                    try self.faults(server, target, tally, world)
                } catch {
                    tally.withLock { $0.problem = $0.problem ?? error }
                }
            }
        }
        for thread in threads { thread.join() }
        let end = tally.withLock { $0 }
        if let problem = end.problem { throw problem }
        print(
            "\(server.name): \(end.count) faults in \(end.requests) requests, \(end.rounds) rounds of \(Self.worlds) repositories, "
                + "\(end.refusals) commands ended in 75: \(end.faults.sorted { $0.key < $1.key })")
    }

    private func faults(_ server: FaultyServer, _ target: Int, _ tally: Monitor<Tally>, _ number: Int) throws {
        let proxy = try FaultProxy(to: server.port) { request in
            guard let fault = Self.fault(request.ordinal, number) else { return nil }
            tally.withLock { $0.faults[Self.name(fault), default: 0] += 1 }
            return fault
        }
        defer { proxy.stop() }
        let world = try FaultyWorld(server, proxy: proxy.port, seed: 77 + UInt64(number))
        defer { world.end() }
        var round = 0
        while tally.withLock({ $0.count < target && $0.problem == nil }) {
            try world.round(round)
            round += 1
        }
        try world.expectAll()
        tally.withLock { tally in
            tally.requests += proxy.requests.count
            tally.rounds += round
            tally.refusals += world.refusals
        }
    }

    private static func name(_ fault: ProxyFault) -> String {
        switch fault {
        case .answer(let status): "answer \(status)"
        case .cutAnswer: "cut"
        case .delay: "delay"
        case .drip: "drip"
        default: "\(fault)"
        }
    }
}

/// Where the repository is.
private struct FaultyServer: Sendable {
    let name: String
    let port: Int
    let environment: [String: String]
    /// Of a prefix, and the port of a proxy or the server's own.
    let location: @Sendable (String, Int) -> String

    init(_ server: SeaweedServer) {
        (name, port, environment) = ("S3", server.port, SeaweedServer.environment)
        location = { server.location($0, port: $1) }
    }

    init(_ cloud: EmulatedCloud) {
        (name, port, environment) = (cloud.provider.rawValue + ", emulated", cloud.port, cloud.environment)
        location = { cloud.location($0, port: $1) }
    }
}

/// A source that changes, a repository that is reached through the proxy, and a copy of it behind the same proxy.
private final class FaultyWorld {
    private let folder: String
    private let program: ProgramUnderTest
    private let direct: ProgramUnderTest
    private let copy: String
    private let directCopy: String
    private var numbers: SeededNumbers
    private var stream: [UInt8]
    private var tree: String { folder + "/tree" }
    /// What was reported as stored, oldest first; those that a prune may have taken go.
    private var stored: [(id: String, bytes: [UInt8])] = []
    /// Commands that ended in 75.
    private(set) var refusals = 0
    private static let kept = 4

    init(_ server: FaultyServer, proxy: Int, seed: UInt64) throws {
        numbers = SeededNumbers(seed: seed)
        var template = Array("/tmp/faults-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let (prefix, other) = (SeaweedServer.uniquePrefix(), SeaweedServer.uniquePrefix())
        // As by 'http:' to another machine.
        func behindProxy(_ prefix: String) -> String {
            let location = server.location(prefix, proxy)
            return location + (location.contains("?") ? "&" : "?") + "listings=twice"
        }
        let origin = server.location(prefix, server.port)
        copy = behindProxy(other)
        directCopy = server.location(other, server.port)
        stream = numbers.bytes(1 << 20)
        let environment = server.environment.merging([
            "REPO_CACHE_DIR": folder + "/cache", "REPO_CONFIG": "/dev/null", "REPO_KEY_FILE": folder + "/key", "REPO_RETRY_SECONDS": "120",
        ]) { $1 }
        program = ProgramUnderTest(folder: folder, environment: environment.merging(["REPO_URL": behindProxy(prefix)]) { $1 })
        // With a cache of its own: what it finds is in the store.
        direct = ProgramUnderTest(
            folder: folder, environment: environment.merging(["REPO_URL": origin, "REPO_CACHE_DIR": folder + "/other-cache"]) { $1 })
        let first = try direct.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"])
        for command in [["init"], ["key", "add", "--out", folder + "/key"], ["init", "--repo", directCopy, "--copy-of", origin]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(command): \(outcome)")
        }
        for number in 0..<12 { try FileTree.write("\(tree)/\(number)/file", numbers.bytes(2000 + 3000 * number)) }
    }

    func end() { FileTree.remove(folder) }

    /// Ends with 0, or with 75 where the store could not be reached for long enough.
    private func run(_ arguments: [String]) throws -> ProgramUnderTest.Outcome {
        let outcome = try program.run(arguments)
        #expect(outcome.status == 0 || outcome.status == 75, "\(arguments): \(outcome) \(outcome.text)")
        if outcome.status == 75 { refusals += 1 }
        return outcome
    }

    func round(_ number: Int) throws {
        numbers.edit(&stream, places: 3)
        try FileTree.write(tree + "/dump", stream)
        try FileTree.write("\(tree)/\(number % 12)/file", numbers.bytes(9000))
        let snapshot = try run(["snapshot", "files", tree, "--quiet"])
        if snapshot.status == 0 { stored.append((snapshot.text, stream)) }
        if number % 3 == 2 {
            _ = try run(["forget", "--keep-last", "\(Self.kept)", "--prune", "--max-unused", "0%", "--min-age", "0s"])
            // One that ended in 75 may have gone all the way.
            stored = Array(stored.suffix(Self.kept))
        }
        if number % 2 == 1 { _ = try run(["copy", "--to", copy]) }
        if number % 2 == 0, let last = stored.last {
            let target = folder + "/restored"
            let outcome = try run(["restore", last.id, "--target", target])
            if outcome.status == 0 { #expect(try FileTree.read(target + tree + "/dump") == last.bytes, "round \(number)") }
            FileTree.remove(target)
        }
    }

    /// Without faults: everything that was reported is there, exactly, in both places.
    func expectAll() throws {
        let sent = try direct.run("copy", "--to", directCopy)
        #expect(sent.status == 0, "\(sent)")
        for place in [[], ["--repo", directCopy]] {
            let checked = try direct.run(["check", "--read-data"] + place)
            #expect(checked.status == 0, "\(place): \(checked) \(checked.text)")
            for (id, bytes) in stored {
                let read = try direct.run(["cat", id, tree + "/dump"] + place)
                #expect(read.status == 0 && read.output == bytes, "\(id) \(place): \(read.errors)")
            }
        }
    }
}
