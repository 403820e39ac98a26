import RepoBase
import Testing

@testable import PostgresClient

/// Version numbers alone: servers other than 15 are not at hand here.
@Suite("Versions of PostgreSQL")
struct PostgresVersionTests {
    @Test("versions before 13 are refused, and told what to do instead")
    func tooOld() throws {
        #expect(PostgresVersion(number: 150_018).description == "15.18")
        for number in [90_624, 100_023, 110_022, 120_000, 120_022] {
            let error = #expect(throws: RepoError.self) { try PostgresVersion(number: number).requireSupported() }
            #expect(error?.code == .usage && error?.advice.contains("--logical") == true, "\(number)")
        }
        for major in 13...18 { try PostgresVersion(number: major * 10_000).requireSupported() }
    }

    @Test("BASE_BACKUP has keywords up to 14, and options in parentheses from 15 on", arguments: 13...18)
    func command(major: Int) {
        var options = BaseBackupOptions()
        options.label = "it's"
        options.includesLog = true
        let command = options.command(PostgresVersion(number: major * 10_000 + 3))
        #expect(command.contains("LABEL 'it''s'") && command.contains("MANIFEST 'yes'") && command.contains("TABLESPACE_MAP"))
        #expect(command.contains("(") == (major >= 15) && command.contains("CHECKPOINT 'fast'") == (major >= 15))
        #expect(command.contains(" FAST ") == (major <= 14) && command.contains("WAL 'true'") == (major >= 15) && command.contains(" WAL NOWAIT") == (major <= 14))
    }

    @Test("a slot is read by a command from 15 on, and before that refused with what to ask instead", arguments: ["13.20", "14.17"])
    func slots(version: String) throws {
        let server = try ScriptedServer(version: version) { _ in ScriptedServer.rows(["x"], [["1"]]) }
        defer { server.stop() }
        let connection = try PostgresConnection(ConnectionTarget("host=\(server.folder) user=x"), .physicalReplication)
        let error = #expect(throws: RepoError.self) { try connection.readSlot("one") }
        #expect(error?.code == .usage && error?.advice.contains("pg_replication_slots") == true)
    }
}
