import PostgresFormats
import Testing
import WALArchive

@Suite("Names of the log's objects")
struct WALObjectNameTests {
    @Test(
        "names read as they print",
        arguments: [
            "000000010000000A000000FE", "000000010000000A000000F0-000000010000000A000000FE", "00000002.history",
            "000000010000000A000000FE.00A00000.received", "000000010000000A000000FE.partial",
            "000000010000000A000000FE.00000028.backup",
        ])
    func roundTrip(name: String) { #expect(WALObjectName(name)?.name == name) }

    @Test(
        "what is no name is refused",
        arguments: [
            "", "x", "000000010000000A000000FE-000000010000000A000000F0", "000000010000000A000000EF-000000010000000A000000F0",
            "000000010000000A000000FE.a.received", "000000010000000A000000FE.00a00000.received",
        ])
    func refused(name: String) { #expect(WALObjectName(name) == nil) }

    @Test("the key holds the system and the timeline")
    func key() {
        let name = WALObjectName.file(.segment(name: "000000020000000A000000FE"))
        #expect("\(name.key(systemIdentifier: 7123))" == "wal/7123/00000002/0000000A/000000020000000A000000FE")
        #expect("\(WALObjectName("00000002.history")!.key(systemIdentifier: 7123))" == "wal/7123/00000002/00000002.history")
    }
}
