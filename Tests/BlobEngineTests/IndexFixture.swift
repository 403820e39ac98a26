import RepoBase
import Testing

@testable import BlobEngine

/// Segments for tests of the index, made of records that no pack backs.
enum IndexFixture {
    static let signer = KeyID(bytes: [UInt8](repeating: 0xAA, count: 16))!

    static func pack(_ number: UInt64, signer: KeyID = signer, isVerified: Bool = false) -> PackRecord {
        PackRecord(
            id: Hash256(words: number, 1, 2, 3), size: 100 << 20,
            seal: PackSeal(
                epoch: UInt32(number % 3), envelope: [UInt8](repeating: UInt8(number & 255), count: 80),
                signer: signer),
            isVerified: isVerified)
    }

    static func record(_ id: BlobID, ordinal: UInt32) -> BlobRecord {
        var bases = BlobBases()
        for index in 0..<(ordinal % 7 == 3 ? 1 + ordinal % 4 : 0) {
            bases.append(UInt64(ordinal) << 32 | UInt64(index))
        }
        return BlobRecord(
            id: id, type: BlobType(rawValue: UInt8(ordinal % 3))!, encoding: bases.count > 0 ? .delta : .zstd,
            offset: 8 + ordinal * 1000, ordinal: ordinal, storedLength: ordinal % 900,
            rawLength: 1000 + ordinal % 500,
            bases: bases)
    }

    /// A segment of these ids, spread over packs.
    static func segment(
        _ ids: [BlobID], packs: [PackRecord] = [pack(1), pack(2), pack(3)], replaces: [ObjectID] = []
    ) -> IndexSegment {
        var blobs: [(pack: UInt32, record: BlobRecord)] = ids.enumerated().map { index, id in
            (UInt32(index % packs.count), record(id, ordinal: UInt32(index)))
        }
        blobs.sort { ($0.record.id, $0.pack) < ($1.record.id, $1.pack) }
        return IndexSegment(replaces: replaces, packs: packs, blobs: blobs)
    }

    /// Ids as they are, and as malice would make them.
    static let distributions: [(name: String, make: @Sendable (Int) -> [BlobID])] = [
        (
            "uniform",
            { count in
                var generator = GeneratedBytes(seed: 10)
                return (0..<count).map { _ in generator.hash() }
            }
        ),
        (
            "one prefix",
            { count in (0..<count).map { Hash256(words: 0x1234_5678_9ABC_DEF0, UInt64($0) << 20, 0, 0) } }
        ),
        ("one id", { count in (0..<count).map { _ in Hash256(words: 7, 7, 7, 7) } }),
        ("all low", { count in (0..<count).map { Hash256(words: UInt64($0) / 3, UInt64($0) % 3, 0, 0) } }),
        ("all high", { count in (0..<count).map { Hash256(words: .max - UInt64($0), 1, 1, 1) } }),
        (
            "both ends",
            { count in
                (0..<count).map {
                    Hash256(words: $0 % 2 == 0 ? UInt64($0) : .max - UInt64($0), .max, .max, .max)
                }
            }
        ),
        (
            "one fingerprint",
            { count in (0..<count).map { Hash256(words: UInt64($0) << 44 | 0xBEEF, 5, 5, 5) } }
        ),
        (
            "clustered",
            { count in
                var generator = GeneratedBytes(seed: 11)
                return (0..<count).map {
                    Hash256(words: 0x8000_0000_0000_0000 + UInt64($0 / 50) << 16, generator.next(), 0, 0)
                }
            }
        ),
    ]
}
