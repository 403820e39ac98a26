import PostgresFormats
import Recovery
import Testing

@Suite("Recovery targets")
struct RecoveryTargetTests {
    @Test("targets of different kinds differ")
    func kinds() { #expect(RecoveryTarget.immediate != .latest) }
}
