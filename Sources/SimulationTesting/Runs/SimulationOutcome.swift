/// What became of one history.
package struct SimulationOutcome: Sendable {
    /// What must not be, in words.
    package var violations: [String]
    package var traceHash: UInt64
    package var operations: Int
    package var faults: Int
    /// How the programs ended, by kind.
    package var outcomes: [String: Int]
    /// Who did what, for people.
    package var script: [String]
    /// Every operation in words, where that was asked for.
    package var trace: [String]

    init(_ world: RepositoryWorld, script: [String]) {
        let simulation = world.simulation
        violations = simulation.violations
        traceHash = simulation.traceHash
        operations = simulation.operations
        faults = simulation.faults
        outcomes = world.outcomes
        trace = simulation.trace ?? []
        self.script = script
    }
}
