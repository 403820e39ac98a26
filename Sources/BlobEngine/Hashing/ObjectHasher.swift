import CBlake2Lanes
public import RepoBase

/// BLAKE2b-256 without a key (RFC 7693) of bytes that arrive in pieces: the name of an object (format.md, 1).
///
/// A value: a copy forks the stream. Allocates nothing.
public struct ObjectHasher: Sendable {
    /// Asked for once, since the question is a CPUID, which a hypervisor may trap.
    static let level = repo_blake2b_best_level()

    private var state = repo_blake2b_256()

    public init() { repo_blake2b_256_init(&state, ObjectHasher.level, nil, 0) }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
        repo_blake2b_256_update(&state, base, bytes.count)
    }

    public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The id of all bytes so far; more may follow.
    public func finish() -> ObjectID {
        var state = self.state
        var digest: InlineArray<32, UInt8> = .init(repeating: 0)
        return withUnsafeMutableBytes(of: &digest) { digest in
            repo_blake2b_256_final(&state, digest.bindMemory(to: UInt8.self).baseAddress)
            return ObjectID(loadingFrom: digest.baseAddress!)
        }
    }

    public static func hash(_ bytes: UnsafeRawBufferPointer) -> ObjectID {
        var hasher = ObjectHasher()
        hasher.update(bytes)
        return hasher.finish()
    }

    public static func hash(_ bytes: [UInt8]) -> ObjectID { bytes.withUnsafeBytes { hash($0) } }
}
