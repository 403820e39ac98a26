import Glibc
import Ingest
import PostgresClient
import PostgresFormats
public import RepoBase
public import Repository

/// A restore test of a PostgreSQL cluster: restored into a throwaway folder, recovered, looked at, removed.
///
/// To be used by one thread; `cancel` may be called by any.
public final class Drill: Sendable {
    /// What is going on, for showing progress.
    public enum Phase: String, Sendable {
        case check = "check the log"
        case restore
        case recovery = "recover"
        case structure = "check tables and indexes"
        case assertions = "check assertions"
        case checksums = "verify checksums"
    }

    public let server: ThrowawayServer
    private let options: DrillOptions
    private let recorded: RecordedRows?
    private let structure: StructureCheck?
    private let checksums: ChecksumCheck?

    /// Looks at everything that can be known without restoring: programs, extensions, room, databases that assertions could mean.
    ///
    /// - Parameter recorded: rows to compare with.
    /// Throws `.usage`, `.refused` or `.storeFull`: the test did not take place then.
    public init(
        _ repository: OpenRepository, _ planned: ClusterHistory.Planned, restoreCommand: String, options: DrillOptions, recorded: RecordedRows?,
        throwaway: ThrowawayOptions
    ) throws {
        let facts = planned.plan.backup.facts
        if !options.assertions.isEmpty, options.database == nil {
            let names = Self.usual(facts.databases.map(\.name))
            guard names.count < 2 else {
                throw RepoError(
                    .usage, "the cluster has \(names.count) databases, and an assertion is asked in one",
                    advice: "Name it with --database: \(names.joined(separator: ", ")).")
            }
        }
        server = try ThrowawayServer(repository, planned, restoreCommand: restoreCommand, options: throwaway)
        let major = Int(facts.serverVersion / 10_000)
        structure = options.checksStructure ? try StructureCheck(server.programs, major: major) : nil
        checksums = options.verifiesChecksums && facts.hasChecksums ? try ChecksumCheck(server.programs, major: major) : nil
        (self.options, self.recorded) = (options, recorded)
    }

    /// Databases that people made: what remains without those that initdb makes, or `postgres` where there is no other.
    private static func usual(_ names: [String]) -> [String] {
        let own = names.filter { !["postgres", "template0", "template1"].contains($0) }
        return own.isEmpty ? names.filter { $0 == "postgres" } : own
    }

    /// Makes what is going on throw `.interrupted` soon.
    public func cancel() { server.cancel() }

    /// Carries the test out and completes the report: what came back is removed, whatever comes of it.
    ///
    /// - Parameter onPhase: told when one begins.
    /// Throws only what is no finding: `.interrupted`, a store that cannot be reached or a disk that is full, a log that the server's user cannot fetch.
    public func run(_ report: inout DrillReport, onPhase: (Phase) -> Void = { _ in }) throws {
        do {
            do {
                try recover(&report, onPhase)
                if report.outcome == .passed { try verify(&report, onPhase) }
            } catch let error as RepoError where error.code == .damaged || error.code == .timeNotRecoverable {
                report.record(error)
            }
        } catch {
            try? server.remove()
            throw server.isCancelled ? RepoError(.interrupted, "interrupted") : error
        }
        report.notes += server.notes
        do {
            if options.keeps, let folder = try server.keep() { report.kept = folder }
            try server.remove()
        } catch let error as RepoError {
            report.notes.append("\(error.message). \(error.advice)")
        }
    }

    // MARK: - Recovery

    private func recover(_ report: inout DrillReport, _ onPhase: (Phase) -> Void) throws {
        let clock = ContinuousClock()
        onPhase(.check)
        var begun = clock.now
        try server.check()
        report.phases.check = DrillReport.rounded(clock.now - begun)
        onPhase(.restore)
        begun = clock.now
        let restored = try server.restore()
        report.phases.restore = DrillReport.rounded(clock.now - begun)
        (report.files, report.bytes) = (restored.files, restored.bytes)
        for problem in restored.problems.prefix(DrillReport.Check.findingLimit) {
            report.notes.append("\(String(decoding: problem.path, as: UTF8.self)): \(problem.message)")
        }
        onPhase(.recovery)
        do {
            let start = try server.start()
            (report.phases.start, report.phases.replay) = (DrillReport.rounded(start.startSeconds), DrillReport.rounded(start.replaySeconds))
            report.reachedLsn = start.position.map { "\($0)" }
            report.secondsToRecovery = DrillReport.rounded(clock.now - begun)
            report.add(.init("recovery", .passed, "ended where it was planned to"))
        } catch let error as RepoError where error.isFinding {
            report.add(.init("recovery", .failed, "the server did not recover", findings: [error.message]))
        }
    }

    // MARK: - Verification

    private func verify(_ report: inout DrillReport, _ onPhase: (Phase) -> Void) throws {
        let clock = ContinuousClock()
        let begun = clock.now
        var databases: [DrillReport.Database] = []
        try finding("databases", &report) { report in
            databases = try DataSurvey(server: server).databases()
            report.databases = databases
        }
        onPhase(.structure)
        if let structure {
            try finding(StructureCheck.name, &report) { try $0.add(structure.run(server, options)) }
        } else {
            let why = options.checksStructure ? "PostgreSQL 13 has no pg_amcheck" : "not asked for"
            report.add(.init(StructureCheck.name, .skipped, why))
        }
        onPhase(.assertions)
        let database = options.database ?? Self.only(databases.map(\.name))
        for assertion in options.assertions {
            guard let database else {
                report.add(
                    .init(
                        "assertion \(assertion.name)", .failed, "not asked",
                        findings: ["there are several databases: name one with --database (\(databases.map(\.name).joined(separator: ", ")))"]))
                continue
            }
            try report.add(AssertionCheck(assertion: assertion).run(server, database: database))
        }
        if let recorded {
            try finding("row counts", &report) { report in
                report.rowCounts = try DataSurvey(server: server).rows(recorded, at: Refusal.text(recorded.time), existing: databases)
            }
        }
        onPhase(.checksums)
        if let checksums {
            try finding(ChecksumCheck.name, &report) { report in
                try server.stop()
                try report.add(checksums.run(server))
            }
        } else {
            report.add(.init(ChecksumCheck.name, .skipped, options.verifiesChecksums ? "the cluster has none (initdb --data-checksums)" : "not asked for"))
        }
        report.phases.verification = DrillReport.rounded(clock.now - begun)
    }

    private static func only(_ names: [String]) -> String? {
        let names = usual(names)
        return names.count == 1 ? names[0] : nil
    }

    /// A check that could not be made is one that failed: a damaged cluster may crash its server.
    private func finding(_ name: String, _ report: inout DrillReport, _ body: (inout DrillReport) throws -> Void) throws {
        do {
            try body(&report)
        } catch let error as RepoError where error.isFinding {
            report.add(.init(name, .failed, "it could not be looked at", findings: [error.message]))
        }
    }
}

extension RepoError {
    /// Whether it tells of what was restored, and not of the place where the test runs.
    var isFinding: Bool { ![.interrupted, .unreachable, .storeFull, .usage].contains(code) }
}

extension DrillReport {
    /// What was to be recovered.
    public mutating func add(_ plan: RecoveryPlan) {
        snapshotId = "\(plan.backup.id)"
        snapshotTime = Refusal.text(plan.backup.time)
        systemIdentifier = "\(plan.backup.facts.systemIdentifier)"
        serverVersion = plan.backup.facts.serverVersion
        timeline = plan.timeline
        switch plan.stop {
        case .before(let position): (stopLsn, stopInclusive) = ("\(position)", false)
        case .after(let position): (stopLsn, stopInclusive) = ("\(position)", true)
        case .consistency: break
        }
        lastTransactionTime = plan.lastTransaction.map { Refusal.text($0.time) }
        segments = plan.segments.count
        logBytes = UInt64(plan.segments.count) * UInt64(plan.backup.facts.segmentSize.bytes)
        notes += plan.notes
    }

    /// What kept the data from coming back.
    public mutating func record(_ error: RepoError) {
        switch error.code {
        case .damaged: outcome = .damaged
        case .timeNotRecoverable: outcome = .notRecoverable
        default: outcome = .failed
        }
        (message, advice) = (error.message, error.advice.isEmpty ? nil : error.advice)
    }
}
