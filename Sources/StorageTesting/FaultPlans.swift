import NumbersTesting
import RepoBase

extension FaultingStore {
    /// The process dies at the n-th call, before or after the store has done it. A run without a fault tells
    /// how many calls there are; a test that tries each n has tried every crash.
    public static func dying(atCall ordinal: Int, afterWorking: Bool) -> Plan {
        { $0.ordinal == ordinal ? (afterWorking ? .dieAfter : .dieBefore) : nil }
    }

    /// The process dies at the n-th call that changes the store (1 for the first).
    public static func dying(atChange ordinal: Int, afterWorking: Bool) -> Plan {
        let changes = Monitor(0)
        return { operation in
            guard operation.kind == .put || operation.kind == .delete else { return nil }
            let change = changes.withLock { count in
                count += 1
                return count
            }
            return change == ordinal ? (afterWorking ? .dieAfter : .dieBefore) : nil
        }
    }

    /// Each call fails with `.unreachable` with this probability, half of the failures after having worked.
    /// The same seed gives the same faults to the same calls: a call's fate depends on its ordinal alone, not
    /// on threads.
    public static func unreachable(seed: UInt64, probability: Double) -> Plan {
        { operation in
            let draw = SeededNumbers.mixed(seed &+ UInt64(operation.ordinal) &* 0x9e37_79b9_7f4a_7c15)
            guard Double(draw >> 11) * 0x1p-53 < probability else { return nil }
            let error = RepoError(
                .unreachable, "cannot \(operation): the connection was lost", advice: "Try again.")
            return draw & 1 == 0 ? .failBefore(error) : .failAfter(error)
        }
    }
}
