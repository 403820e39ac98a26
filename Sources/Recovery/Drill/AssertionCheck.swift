import PostgresClient
import RepoBase

/// People's own SQL, which has to be true of what came back.
struct AssertionCheck {
    let assertion: DrillAssertion

    /// Asks it on a connection of its own. What it answers beside `t` and `f` may be data, and is not told.
    func run(_ server: ThrowawayServer, database: String) throws -> DrillReport.Check {
        let clock = ContinuousClock()
        let begun = clock.now
        let name = "assertion \(assertion.name)"
        var findings: [String] = []
        var answers = 0
        do {
            let connection = try server.connect(database: database)
            // As the role and the database have it.
            try connection.query("RESET search_path")
            let results = try connection.answers(to: assertion.script)
            answers = results.count
            for (number, result) in results.enumerated() {
                guard let problem = Self.problem(result) else { continue }
                findings.append(results.count == 1 ? problem : "answer \(number + 1) of \(results.count): \(problem)")
            }
            if results.isEmpty { findings.append("it answered nothing: an assertion is a SELECT that is true") }
        } catch let error as RepoError where error.code != .interrupted {
            findings.append(error.message)
        }
        let detail = "\(answers == 1 ? "1 answer" : "\(answers) answers") in database \(database)"
        return .init(name, findings.isEmpty ? .passed : .failed, detail, findings: findings, seconds: DrillReport.rounded(clock.now - begun))
    }

    /// Nil for one row of one column that is true.
    private static func problem(_ result: QueryResult) -> String? {
        guard result.rowCount == 1 else { return "\(result.rowCount == 0 ? "no row" : "\(result.rowCount) rows") instead of one that is true" }
        guard result.columnCount == 1 else { return "\(result.columnCount) columns instead of one that is true" }
        switch result[0, 0] {
        case "t": return nil
        case "f": return "it is false"
        case nil: return "it is NULL"
        default: return "its answer is not true or false"
        }
    }
}
