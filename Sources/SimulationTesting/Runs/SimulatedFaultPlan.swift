import NumbersTesting
import RepositoryTesting

/// How often what goes wrong in a random history: chances for each operation.
struct SimulatedFaultPlan {
    var failure = 0.0
    var death = 0.0
    var freeze = 0.0
    var delay = 0.0
    var repetition = 0.0
    /// Requests that arrive long after they were sent.
    var lateness = 0.0

    private static let none = [0.0]

    init(_ numbers: inout SeededNumbers) {
        func one(_ values: [Double]) -> Double { values.randomElement(using: &numbers)! }
        failure = one([0, 0, 0.01, 0.04])
        death = one([0, 0.002, 0.01, 0.03])
        freeze = one([0, 0, 0.003, 0.01])
        delay = one([0, 0.02])
        repetition = one([0, 0, 0.02])
        lateness = one([0, 0, 0.005])
    }

    func fault(_ operation: SimulatedOperation, _ numbers: inout SeededNumbers) -> SimulatedFault? {
        var draw = Double.random(in: 0..<1, using: &numbers)
        func isDue(_ chance: Double) -> Bool {
            defer { draw -= chance }
            return draw < chance
        }
        func seconds(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &numbers) }
        if isDue(death) {
            switch Int.random(in: 0..<4, using: &numbers) {
            case 0: return .dieBefore
            case 1: return .dieTorn
            case 2: return .dieLate(seconds(0...120))
            default: return .dieAfter
            }
        }
        if isDue(failure) { return Bool.random(using: &numbers) ? .failBefore : .failAfter }
        if isDue(freeze) {
            let length = Bool.random(using: &numbers) ? seconds(60...7_200) : seconds(7 * 86_400...20 * 86_400)
            return Bool.random(using: &numbers) ? .freezeBefore(length) : .freezeAfter(length)
        }
        if isDue(delay) { return Bool.random(using: &numbers) ? .delayBefore(seconds(1...300)) : .delayAfter(seconds(1...300)) }
        if operation.isChange, isDue(repetition) { return .repeated }
        if operation.isChange, isDue(lateness) { return Bool.random(using: &numbers) ? .repeatedLate(seconds(1...600)) : .failLate(seconds(1...600)) }
        return nil
    }
}
