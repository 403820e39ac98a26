import BlobEngine
import RepoBase
import Repository
import Storage
import Testing

@Suite struct SnapshotCodecTests {
    let store: any Store
    var keyRing: KeyRing

    init() throws { (store, keyRing) = try KeyFixtures.create() }

    static var full: Snapshot {
        var snapshot = Snapshot(
            time: FileTime(seconds: -1, nanoseconds: 999_999_999), source: "größe", kind: "command",
            root: ObjectHasher.hash([1]))
        snapshot.host = "db1"
        snapshot.user = "backup"
        snapshot.tags = ["a=b", "c="]
        snapshot.paths = [Array("/srv".utf8), [0xff, 0xfe]]
        snapshot.statistics.bytesRead = .max
        snapshot.statistics.bytesAdded = 2
        snapshot.statistics.bytesStored = 3
        snapshot.statistics.filesNew = 4
        snapshot.statistics.filesChanged = 5
        snapshot.statistics.filesUnmodified = 6
        snapshot.statistics.directories = 7
        snapshot.statistics.otherEntries = 8
        snapshot.statistics.errors = 9
        snapshot.statistics.duration = 10
        snapshot.statistics.logicalBytes = 11
        snapshot.parent = ObjectHasher.hash([2])
        snapshot.programVersion = "0.1"
        snapshot.problems = [SnapshotProblem(path: [0x80], message: "Permission denied")]
        snapshot.repairs = ObjectHasher.hash([3])
        snapshot.started = FileTime(seconds: 1_700_000_000, nanoseconds: 1)
        snapshot.arguments = [Array("pg_dump".utf8), [], [0xff]]
        return snapshot
    }

    private func encode(_ snapshot: Snapshot, by keyRing: KeyRing) throws -> [UInt8] {
        try SnapshotCodec.encode(snapshot, epoch: keyRing.currentEpoch, signer: keyRing.signer)
    }

    @Test func `a snapshot opens to what it was`() throws {
        let bare = Snapshot(
            time: FileTime(seconds: 0, nanoseconds: 0), source: "", kind: "", root: ObjectHasher.hash([]))
        for snapshot in [Self.full, bare] {
            let bytes = try encode(snapshot, by: keyRing)
            #expect(try SnapshotCodec.decode(bytes, object: "x", keyRing: keyRing) == snapshot)
            // Nothing of it can be seen.
            #expect(!Hexadecimal.encode(bytes).contains(Hexadecimal.encode(snapshot.root.bytes)))
        }
    }

    @Test func `the first thousand problems are kept`() throws {
        var snapshot = Self.full
        snapshot.problems = (0..<1500).map { SnapshotProblem(path: [UInt8($0 % 256)], message: "\($0)") }
        let opened = try SnapshotCodec.decode(
            try encode(snapshot, by: keyRing), object: "x", keyRing: keyRing)
        #expect(opened.problems == Array(snapshot.problems.prefix(1000)))
    }

    @Test func `every changed byte and every cut is damage`() throws {
        let bytes = try encode(Self.full, by: keyRing)
        for index in bytes.indices {
            for mask: UInt8 in [0x01, 0x80] {
                var changed = bytes
                changed[index] ^= mask
                #expect(
                    code { _ = try SnapshotCodec.decode(changed, object: "x", keyRing: keyRing) } == .damaged,
                    "\(index)")
            }
            let cut = Array(bytes[..<index])
            #expect(
                code { _ = try SnapshotCodec.decode(cut, object: "x", keyRing: keyRing) } == .damaged,
                "\(index)")
        }
    }

    @Test mutating func `a writer makes a snapshot that full keys read and it cannot`() throws {
        let added = try keyRing.addMachineKey(to: store, role: .writer)
        let writer = try KeyRing.open(store, added.credentials)
        let bytes = try encode(Self.full, by: writer)
        #expect(try SnapshotCodec.decode(bytes, object: "x", keyRing: keyRing) == Self.full)
        let error = #expect(throws: RepoError.self) {
            _ = try SnapshotCodec.decode(bytes, object: "x", keyRing: writer)
        }
        #expect(error?.code == .wrongKey)
        #expect(error?.message.contains("can write and not read") == true)
        // What a removed key signed stays readable.
        try keyRing.removeKey(added.id, from: store)
        #expect(try SnapshotCodec.decode(bytes, object: "x", keyRing: keyRing) == Self.full)
    }

    @Test mutating func `after a rotation old snapshots open and new ones are of the new epoch`() throws {
        let old = try encode(Self.full, by: keyRing)
        let stale = keyRing
        try keyRing.rotate(in: store)
        let new = try encode(Self.full, by: keyRing)
        #expect(old[12] == 1)
        #expect(new[12] == 2)
        #expect(try SnapshotCodec.decode(old, object: "x", keyRing: keyRing) == Self.full)
        #expect(try SnapshotCodec.decode(new, object: "x", keyRing: keyRing) == Self.full)
        var reader = stale
        #expect(code { _ = try SnapshotCodec.decode(new, object: "x", keyRing: reader) } == .damaged)
        try reader.refresh(from: store)
        #expect(try SnapshotCodec.decode(new, object: "x", keyRing: reader) == Self.full)
    }

    @Test func `a snapshot of another repository is damage`() throws {
        let (_, other) = try KeyFixtures.create()
        let bytes = try encode(Self.full, by: other)
        #expect(code { _ = try SnapshotCodec.decode(bytes, object: "x", keyRing: keyRing) } == .damaged)
    }
}
