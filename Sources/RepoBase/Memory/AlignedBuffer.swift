/// Bytes of fixed capacity outside Swift's arrays, aligned to a page: never grows, freed with its owner.
///
/// One owner at a time: whoever holds a buffer may write to it, and hands it on by reference together with that
/// right (a queue or a pool). That hand-over, always through a lock, is what makes `@unchecked Sendable` true.
public final class AlignedBuffer: @unchecked Sendable {
    public let base: UnsafeMutableRawPointer
    public let capacity: Int
    /// What was really allocated, in bytes.
    private let size: Int
    private let isHuge: Bool
    /// How much of it is filled; kept by whoever owns the buffer.
    public var count = 0

    /// Traps when the machine has no memory left, as Swift's own arrays do.
    ///
    /// - Parameter isFilledAtOnce: for megabytes that are all written soon: taken in pages of 2 MiB where the system has them, since 4,096
    ///   faults for 16 MiB cost more than copying it. What is then not written takes memory all the same.
    public init(capacity: Int, isFilledAtOnce: Bool = false) {
        self.capacity = max(capacity, 1)
        isHuge = isFilledAtOnce
        (base, size) = isFilledAtOnce ? BufferStock.takeHugePages(self.capacity) : BufferStock.take(self.capacity)
    }

    deinit { BufferStock.put(base, size: size, isHuge: isHuge) }

    /// The filled bytes. Valid while the buffer lives: who takes them from a buffer that nobody else holds keeps it alive with
    /// `withExtendedLifetime`.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    public var all: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base, count: capacity)
    }
}
