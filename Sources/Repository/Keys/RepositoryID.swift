import BlobEngine
import RepoBase

/// 16 random bytes that tell one repository from another (format.md, 3). Written as 32 hexadecimal digits.
public struct RepositoryID: Hashable, Sendable, CustomStringConvertible {
    public static let byteCount = 16

    public let bytes: [UInt8]

    /// Nil unless there are 16 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == RepositoryID.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    /// Nil unless there are 32 digits of `0-9a-f`.
    public init?(_ text: some StringProtocol) {
        guard let bytes = Hexadecimal.decode(text) else { return nil }
        self.init(bytes: bytes)
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    static func random() -> RepositoryID { RepositoryID(unchecked: RandomBytes.make(byteCount)) }

    public var description: String { Hexadecimal.encode(bytes) }
}
