import Testing

@testable import Policy

@Suite("Forecast of capacity") struct CapacityForecastTests {
    private static let now: Int64 = 20_000 * 86_400 + 3600

    private static func forecast(_ days: [Int64: UInt64], _ capacity: UInt64) -> CapacityForecast {
        CapacityForecast(storedByDay: Dictionary(uniqueKeysWithValues: days.map { (20_000 - $0.key, $0.value) }), capacityBytes: capacity, now: now)
    }

    @Test("the first day is no growth, and what came since is spread over the days since then")
    func growth() {
        let forecast = Self.forecast([10: 1000, 9: 10, 5: 20, 0: 20], 2050)
        #expect(forecast.storedBytes == 1050)
        #expect(forecast.growth == .init(bytesPerDay: 5, days: 10))
        #expect(forecast.fullAt == Self.now + 200 * 86_400)
        #expect(abs(forecast.usedShare - 1050.0 / 2050) < 1e-9)
    }

    @Test("only the last thirty days count")
    func window() {
        let forecast = Self.forecast([400: 1, 31: 5000, 30: 3000, 29: 300, 1: 300], 9201)
        #expect(forecast.growth == .init(bytesPerDay: 20, days: 30))
        #expect(forecast.fullAt == Self.now + 30 * 86_400)
    }

    @Test("a store of two days tells nothing, but that it is full")
    func young() {
        #expect(Self.forecast([2: 10, 1: 10], 100).growth == nil)
        #expect(Self.forecast([2: 10, 1: 10], 100).fullAt == nil)
        #expect(Self.forecast([2: 10, 1: 10], 20).fullAt == Self.now)
        #expect(Self.forecast([:], 100).growth == nil)
        #expect(Self.forecast([3: 10, 1: 30], 100).growth == .init(bytesPerDay: 10, days: 3))
    }

    @Test("one that does not grow is never full, one that is full is full now, and centuries are not told")
    func extremes() {
        #expect(Self.forecast([50: 10], 100).fullAt == nil)
        #expect(Self.forecast([50: 100, 1: 1], 100).fullAt == Self.now)
        #expect(Self.forecast([50: 100, 1: 30], .max).fullAt == nil)
        #expect(Self.forecast([50: 10], 0).usedShare == 1)
        #expect(Self.forecast([50: 10, -3: 30], 100).growth == .init(bytesPerDay: 1, days: 30), "a clock that runs ahead")
    }
}
