/// Which segments of one timeline are in the archive, by number.
public struct TimelineExtent: Hashable, Sendable {
    /// Whole segments: ascending, apart from one another.
    public private(set) var runs: [ClosedRange<UInt64>] = []
    /// Parts of segments that are not there whole: how many bytes of each, from its beginning.
    public var received: [UInt64: UInt32] = [:]

    public init() {}

    /// - Parameter numbers: ascending.
    public init(_ numbers: some Sequence<UInt64>) {
        for number in numbers { append(number) }
    }

    /// - Parameter number: not before the last one.
    public mutating func append(_ number: UInt64) {
        guard let last = runs.last else { return runs.append(number...number) }
        if number <= last.upperBound { return }
        if number == last.upperBound + 1 {
            runs[runs.count - 1] = last.lowerBound...number
        } else {
            runs.append(number...number)
        }
    }

    /// - Parameter range: behind the last one, and apart from it.
    public mutating func append(_ range: ClosedRange<UInt64>) { runs.append(range) }

    public var isEmpty: Bool { runs.isEmpty && received.isEmpty }

    public func hasWhole(_ number: UInt64) -> Bool {
        let position = firstRun(endingAtOrAfter: number)
        return position < runs.count && runs[position].contains(number)
    }

    public func contains(_ number: UInt64) -> Bool { hasWhole(number) || received[number] != nil }

    /// The lowest number at or behind `number`.
    public func next(from number: UInt64) -> UInt64? {
        let position = firstRun(endingAtOrAfter: number)
        let whole = position < runs.count ? max(number, runs[position].lowerBound) : nil
        let part = received.keys.filter { $0 >= number }.min()
        return [whole, part].compactMap { $0 }.min()
    }

    private func firstRun(endingAtOrAfter number: UInt64) -> Int {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].upperBound < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
