import PostgresClient
import Testing

@Suite("Quoting of names and values")
struct QuotingTests {
    /// Combining marks join the character before them, which then is no quote for who looks at characters.
    @Test("every quote is doubled, whatever stands behind it", arguments: ["", "x", "\u{301}", "\u{20DD}", "\u{FE0F}", "\u{200D}", "\r\n"])
    func quotes(_ behind: String) {
        #expect(Array(SQLText.identifier("a\"\(behind)").unicodeScalars) == Array("\"a\"\"\(behind)\"".unicodeScalars))
        #expect(Array(SQLText.literal("a'\(behind)").unicodeScalars) == Array("'a''\(behind)'".unicodeScalars))
        #expect(Array(ConnectionTarget.quoted("a'\(behind)").unicodeScalars) == Array("'a\\'\(behind)'".unicodeScalars))
        #expect(Array(ConnectionTarget.quoted("a\\\(behind)").unicodeScalars) == Array("'a\\\\\(behind)'".unicodeScalars))
    }
}
