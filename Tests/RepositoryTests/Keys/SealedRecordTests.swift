import BlobEngine
import RepoBase
import Repository
import Storage
import Testing

@Suite struct SealedRecordTests {
    var keyRing: KeyRing
    let store: any Store

    init() throws { (store, keyRing) = try KeyFixtures.create() }

    static var fields: RecordFields {
        var fields = RecordFields(time: -5)
        fields.action = "hold"
        fields.subjects = [[1, 2, 0xff], []]
        fields.host = "db1"
        fields.user = "bäckup"
        fields.details = ["a reason", ""]
        fields.bootID = "b"
        fields.processID = 4_294_967_296
        fields.processStart = .max
        return fields
    }

    @Test(arguments: SealedRecord.Kind.allCases)
    func `a record opens to what it was, as its own kind alone`(kind: SealedRecord.Kind) throws {
        let bytes = SealedRecord.encode(kind, Self.fields, by: keyRing)
        let record = try SealedRecord.decode(kind, bytes, object: "x", keyRing: keyRing)
        #expect(record.fields == Self.fields)
        #expect(record.signer == keyRing.keyID)
        #expect(record.epoch == 1)
        for other in SealedRecord.Kind.allCases where other != kind {
            #expect(
                code { _ = try SealedRecord.decode(other, bytes, object: "x", keyRing: keyRing) } == .damaged)
        }
        let bare = SealedRecord.encode(kind, RecordFields(time: 1), by: keyRing)
        #expect(
            try SealedRecord.decode(kind, bare, object: "x", keyRing: keyRing).fields == RecordFields(time: 1)
        )
    }

    @Test mutating func `a writer's records are read by others, and others' by a writer`() throws {
        let added = try keyRing.addMachineKey(to: store, role: .writer)
        let writer = try KeyRing.open(store, added.credentials)
        let written = SealedRecord.encode(.writer, Self.fields, by: writer)
        #expect(
            try SealedRecord.decode(.writer, written, object: "x", keyRing: keyRing).signer == writer.keyID)
        let condemned = SealedRecord.encode(.collection, Self.fields, by: keyRing)
        #expect(
            try SealedRecord.decode(.collection, condemned, object: "x", keyRing: writer).signer
                == keyRing.keyID)
    }

    @Test func `every changed byte and every cut is damage`() throws {
        let bytes = SealedRecord.encode(.journal, Self.fields, by: keyRing)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(
                code { _ = try SealedRecord.decode(.journal, changed, object: "x", keyRing: keyRing) }
                    == .damaged, "\(index)")
            let cut = Array(bytes[..<index])
            #expect(
                code { _ = try SealedRecord.decode(.journal, cut, object: "x", keyRing: keyRing) }
                    == .damaged, "\(index)")
        }
    }

    @Test func `a record of a stranger is damage`() throws {
        let (_, stranger) = try KeyFixtures.create()
        let bytes = SealedRecord.encode(
            .journal, Self.fields, epoch: keyRing.currentEpoch, signer: stranger.signer)
        let error = #expect(throws: RepoError.self) {
            _ = try SealedRecord.decode(.journal, bytes, object: "journal/x", keyRing: keyRing)
        }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("journal/x") == true)
    }
}
