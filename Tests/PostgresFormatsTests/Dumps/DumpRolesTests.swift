import Testing

@testable import PostgresFormats

@Suite("Roles that an archive's entries name")
struct DumpRolesTests {
    @Test(arguments: [
        ("GRANT SELECT ON TABLE public.t TO reader;\n", ["reader"]),
        ("GRANT SELECT(a),UPDATE(\"to x\") ON TABLE s.\"from\" TO \"Re \"\"ad\"\" er\" WITH GRANT OPTION;\n", ["Re \"ad\" er"]),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC;\nGRANT ALL ON SCHEMA public TO \"PUBLIC\";\nGRANT USAGE ON SCHEMA public TO b, c;\n", ["PUBLIC", "b", "c"]),
        ("REVOKE GRANT OPTION FOR ALL ON FUNCTION f(a integer, \"to\" text) FROM käthe;", ["käthe"]),
        ("GRANT ALL ON LARGE OBJECT 16400 TO GROUP staff;\n", ["staff"]),
        ("SET SESSION AUTHORIZATION giver;\nGRANT SELECT ON TABLE t TO taker;\nRESET SESSION AUTHORIZATION;\n", ["giver", "taker"]),
        ("SET SESSION AUTHORIZATION DEFAULT;", []),
        ("-- GRANT ALL TO nobody;\nGRANT EXECUTE ON FUNCTION g() TO somebody;", ["somebody"]),
        ("", []), ("GRANT", []), ("GRANT ALL ON TABLE t TO", []), ("GRANT ALL ON TABLE t TO \"open", ["open"]), ("REVOKE ALL ON t FROM ,", []), (")))(((", []),
    ])
    func rights(_ sql: String, _ roles: [String]) {
        #expect(DumpEntry(id: 1, kind: "ACL", name: "TABLE t", schema: nil, definition: sql).rolesNamed.sorted() == roles.sorted())
    }

    @Test(arguments: [
        ("DEFAULT ACL", "ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA s GRANT SELECT ON TABLES  TO reader;\n", ["maker", "reader"]),
        ("DEFAULT ACL", "ALTER DEFAULT PRIVILEGES FOR ROLE \"grant\" REVOKE ALL ON FUNCTIONS  FROM PUBLIC;\n", ["grant"]),
        ("POLICY", "CREATE POLICY p ON s.t FOR SELECT TO a, \"B\" USING ((owner = ') to x'::text)) WITH CHECK ((1 = 1));\n", ["a", "B"]),
        ("POLICY", "CREATE POLICY p ON t USING (true);", []),
        ("USER MAPPING", "CREATE USER MAPPING FOR mapped SERVER srv OPTIONS (\n    \"user\" 'for x'\n);\n", ["mapped"]),
        ("USER MAPPING", "CREATE USER MAPPING FOR PUBLIC SERVER srv;", []),
        ("DATABASE PROPERTIES", "ALTER DATABASE shop SET work_mem TO '4MB';\nALTER ROLE bob IN DATABASE shop SET search_path TO 'a', 'b';\n", ["bob"]),
        // Its text is not looked into.
        ("FUNCTION", "CREATE FUNCTION f() … GRANT SELECT ON t TO nobody;", []),
    ])
    func others(_ kind: String, _ sql: String, _ roles: [String]) {
        #expect(DumpEntry(id: 1, kind: kind, name: "x", schema: nil, definition: sql).rolesNamed.sorted() == roles.sorted())
    }

    @Test(arguments: [
        ("LATIN1", [0xE4, 0xF6], "äö"), ("WIN1252", [0x80], "€"), ("LATIN9", [0xA4], "€"), ("KOI8R", [0xC1, 0xC2], "аб"), ("EUC_JP", [0xC6, 0xFC], "日"), ("ISO_8859_5", [0xD0], "а"),
    ] as [(String, [UInt8], String)])
    func textsAreReadInTheArchivesEncoding(_ encoding: String, _ bytes: [UInt8], _ text: String) throws {
        let texts = try #require(DumpTexts("SET client_encoding = '\(encoding)';\n"))
        #expect(texts.decode(bytes[...]) == text)
        #expect(texts.decode([UInt8]("plain".utf8)[...]) == "plain" && texts.decode([]) == "")
    }

    @Test(arguments: ["UTF8", "SQL_ASCII", "MULE_INTERNAL", "NONE_SUCH", "", "LATIN1//TRANSLIT", "../x", "latin1"])
    func whatNeedsNoConversionOrHasNone(_ encoding: String) {
        #expect(DumpTexts("SET client_encoding = '\(encoding)';\n") == nil)
    }

    @Test func noTextOfItsEncodingIsLeftAsItIs() throws {
        #expect(try #require(DumpTexts("SET client_encoding = 'EUC_JP';")).decode([0xC6]) == nil)
        #expect(DumpTexts("no setting") == nil)
    }
}
