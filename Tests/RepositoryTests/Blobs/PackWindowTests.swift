import RepoBase
import Testing

@testable import BlobEngine
@testable import Repository

/// Blobs that lie behind one another are fetched together; what that is good for must not change what is read.
@Suite("Windows over packs")
struct PackWindowTests {
    private let pack = ObjectHasher.hash([1])
    private let other = ObjectHasher.hash([2])

    private func location(_ pack: ObjectID, _ offset: UInt32, _ length: UInt32) -> BlobLocation {
        BlobLocation(
            record: BlobRecord(
                id: BlobID(words: 1, 2, 3, 4), type: .chunk, encoding: .plain, offset: offset,
                ordinal: 0, storedLength: length, rawLength: length, bases: BlobBases()),
            pack: PackRecord(
                id: pack, size: 1 << 24, seal: PackSeal(epoch: 1, envelope: [], signer: KeyID(bytes: [UInt8](repeating: 0, count: 16))!),
                isVerified: false))
    }

    @Test("A blob that stands alone is no stretch")
    func alone() {
        #expect(PackWindow.stretch([location(pack, 8, 100)]) == nil)
        #expect(PackWindow.stretch([location(pack, 8, 100), nil, location(pack, 124, 10)]) == nil)
        #expect(PackWindow.stretch([location(pack, 8, 100), location(other, 124, 10)]) == nil)
        #expect(PackWindow.stretch([]) == nil)
    }

    @Test("Neighbours make one stretch, with their tags")
    func neighbours() {
        #expect(PackWindow.stretch([location(pack, 8, 100), location(pack, 124, 10)]) == 8..<150)
    }

    @Test("A stretch ends where the next blob is before it, far away, or too much")
    func ends() {
        let first = location(pack, 1000, 100)
        let second = location(pack, 1116, 84)
        #expect(PackWindow.stretch([first, second, location(pack, 8, 100)]) == 1000..<1216)
        #expect(PackWindow.stretch([first, second, location(pack, 1216 + 65_537, 100)]) == 1000..<1216)
        #expect(PackWindow.stretch([first, second, location(pack, 1216 + 65_536, 100)]) == 1000..<66_868)
        #expect(PackWindow.stretch([first, second, location(pack, 1216, 4 << 20)]) == 1000..<1216)
        #expect(PackWindow.stretch([first, first]) == nil)
    }
}
