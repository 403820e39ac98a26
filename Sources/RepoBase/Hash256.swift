/// 32 bytes that name something: the BLAKE2b-256 of an object's bytes, or a blob's keyed hash.
///
/// Kept as four words in big-endian order, so that comparison is bytewise order and costs at most four
/// compares. Trivial: 32 bytes, no allocation.
public struct Hash256: Hashable, Comparable, Sendable, BitwiseCopyable {
    public static let byteCount = 32

    public let word0: UInt64
    public let word1: UInt64
    public let word2: UInt64
    public let word3: UInt64

    @inlinable
    public init(words word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64) {
        self.word0 = word0
        self.word1 = word1
        self.word2 = word2
        self.word3 = word3
    }

    /// Reads 32 bytes. The pointer need not be aligned.
    @inlinable
    public init(loadingFrom bytes: UnsafeRawPointer) {
        word0 = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        word1 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        word2 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        word3 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    /// Writes 32 bytes. The pointer need not be aligned.
    @inlinable
    public func store(to bytes: UnsafeMutableRawPointer) {
        bytes.storeBytes(of: word0.bigEndian, as: UInt64.self)
        bytes.storeBytes(of: word1.bigEndian, toByteOffset: 8, as: UInt64.self)
        bytes.storeBytes(of: word2.bigEndian, toByteOffset: 16, as: UInt64.self)
        bytes.storeBytes(of: word3.bigEndian, toByteOffset: 24, as: UInt64.self)
    }

    /// The first 8 bytes as a number whose order is the order of ids: what deltas name their bases by.
    @inlinable public var prefix: UInt64 { word0 }

    @inlinable
    public static func < (a: Hash256, b: Hash256) -> Bool {
        if a.word0 != b.word0 { return a.word0 < b.word0 }
        if a.word1 != b.word1 { return a.word1 < b.word1 }
        if a.word2 != b.word2 { return a.word2 < b.word2 }
        return a.word3 < b.word3
    }

    /// Ids are uniform already, so one word is hash enough; `Hasher` still mixes in its seed.
    @inlinable
    public func hash(into hasher: inout Hasher) { hasher.combine(word0) }

    public var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            store(to: buffer.baseAddress!)
            count = 32
        }
    }

    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        let array = Array(bytes)
        self = array.withUnsafeBytes { Hash256(loadingFrom: $0.baseAddress!) }
    }
}

/// The id of a blob: BLAKE2b-256 of its plaintext under the repository's id secret (format.md, 5.3).
public typealias BlobID = Hash256
/// The name of an object: BLAKE2b-256 of its bytes (format.md, 2).
public typealias ObjectID = Hash256

extension Hash256: CustomStringConvertible {
    /// 64 lower-case hexadecimal digits.
    public var description: String { Hexadecimal.encode(bytes) }
    /// The first 8 digits, as shown to people.
    public var short: String { String(description.prefix(8)) }

    /// Exactly 64 hexadecimal digits, lower case.
    public init?(_ text: some StringProtocol) {
        guard let bytes = Hexadecimal.decode(text), let id = Hash256(bytes: bytes) else { return nil }
        self = id
    }
}

public enum Hexadecimal {
    /// Two lower-case digits a byte.
    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil for an odd count or any character but `0-9a-f`: names in a store have one spelling.
    public static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
