import PostgresClient
import RepoBase
import Testing

@Suite("Versions of PostgreSQL")
struct PostgresVersionTests {
    @Test("versions before 13 are refused, and told what to do instead")
    func tooOld() throws {
        #expect(PostgresVersion(number: 150_018).description == "15.18")
        try PostgresVersion(number: 130_000).requireSupported()
        #expect(throws: RepoError.self) { try PostgresVersion(number: 120_020).requireSupported() }
    }
}
