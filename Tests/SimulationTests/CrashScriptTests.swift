import Testing

@testable import SimulationTesting

/// Some of the crash points that `tools/verify simulation` goes through one by one.
@Suite struct CrashScriptTests {
    @Test func everyScriptRunsToItsEndWithoutACrash() throws {
        for script in CrashScript.all {
            let (points, outcome) = try script.points(CrashScript.Variant(seed: 1))
            #expect(outcome.violations == [], "\(script.name)")
            #expect(points.count > 4, "\(script.name)")
        }
    }

    @Test(arguments: ["snapshot beside prune", "prune beside snapshot"]) func aCrashAtAnyOperationLosesNothing(name: String) throws {
        let script = try #require(CrashScript.all.first { $0.name == name })
        let variant = CrashScript.Variant(seed: 1)
        let points = try script.points(variant).points
        for (number, point) in points.enumerated() where number % 5 == 0 {
            let outcome = try script.run(variant, point)
            #expect(outcome.violations == [], "\(point)")
            #expect(outcome.outcomes["died: \(script.victim.kind)"] == 1, "\(point)")
        }
    }
}
