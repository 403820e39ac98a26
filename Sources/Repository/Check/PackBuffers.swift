import RepoBase

/// Buffers for packs in whole, used again: as many as are at work, and two more.
final class PackBuffers: Sendable {
    private let spare = Monitor<[AlignedBuffer]>([])
    private static let granularity = 4 << 20
    private static let limit = 2

    func take(_ size: Int) -> AlignedBuffer {
        let kept = spare.withLock { spare in
            spare.firstIndex { $0.capacity >= size }.map { spare.remove(at: $0) }
        }
        return kept ?? AlignedBuffer(capacity: (size + Self.granularity - 1) / Self.granularity * Self.granularity)
    }

    func give(_ buffer: AlignedBuffer) {
        spare.withLock { if $0.count < Self.limit { $0.append(buffer) } }
    }
}
