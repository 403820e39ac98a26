/// The 12 bytes that must differ between all messages sealed under one key (NIST SP 800-38D, 8.2).
public struct SealingNonce: Hashable, Sendable, BitwiseCopyable {
    public static let byteCount = 12

    private let low: UInt64
    private let high: UInt32

    private init(low: UInt64, high: UInt32) {
        self.low = low
        self.high = high
    }

    /// Traps unless there are 12 bytes.
    public init(_ bytes: some Collection<UInt8>) {
        precondition(bytes.count == SealingNonce.byteCount, "a nonce has 12 bytes")
        let array = Array(bytes)
        (low, high) = array.withUnsafeBytes {
            ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        }
    }

    /// For a key that seals a counted sequence: `u32 n ‖ 0^8` (format.md, 5.3).
    public static func ordinal(_ n: UInt32) -> SealingNonce {
        SealingNonce(low: UInt64(n).littleEndian, high: 0)
    }

    /// For a key that seals one message.
    public static let zero = SealingNonce(low: 0, high: 0)

    /// For a key that seals few messages: at 2^32 of them a repetition has a chance of 2^-32.
    public static func random() -> SealingNonce { SealingNonce(RandomBytes.make(byteCount)) }

    public var bytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

    func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        var array: InlineArray<12, UInt8> = .init(repeating: 0)
        return Swift.withUnsafeMutableBytes(of: &array) { buffer in
            buffer.storeBytes(of: low, as: UInt64.self)
            buffer.storeBytes(of: high, toByteOffset: 8, as: UInt32.self)
            return body(UnsafeRawBufferPointer(buffer))
        }
    }
}
