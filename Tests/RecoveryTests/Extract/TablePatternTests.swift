import RepoBase
import Testing

@testable import Recovery

@Suite("Patterns of tables")
struct TablePatternTests {
    @Test(
        "a pattern means what pg_dump's means",
        arguments: [
            ("orders", "public", "orders", true), ("orders", "sales", "orders", true), ("orders", "public", "orders2", false),
            ("ORDERS", "public", "orders", true), ("Orders", "public", "Orders", false), ("\"Orders\"", "public", "Orders", true),
            ("public.orders", "public", "orders", true), ("public.orders", "sales", "orders", false), ("sales.*", "sales", "x", true),
            ("*", "a", "b", true), ("o?ders", "p", "orders", true), ("o?ders", "p", "oders", false), ("or*rs*s", "p", "ordersxrsys", true),
            ("\"a.b\".c", "a.b", "c", true), ("\"a*\"", "p", "ax", false), ("\"a*\"", "p", "a*", true), ("\"a\"\"b\"", "p", "a\"b", true),
            ("Fo\"O\"\"bar\"", "p", "foO\"bar", true), ("order[0-9]", "p", "order7", true), ("order[^0-9]", "p", "order7", false),
            ("ord[a-]r", "p", "ord-r", true), ("t$1", "p", "t$1", true), ("ünï", "p", "ünï", true), ("\"\"\"\u{301}\"", "p", "\"\u{301}", true),
            // Composed and decomposed letters are different names to the server.
            ("\u{E9}", "p", "e\u{301}", false),
        ])
    func meaning(_ pattern: String, _ schema: String, _ name: String, _ isMeant: Bool) throws {
        #expect(try TablePattern(pattern).matches(schema: schema, name: name) == isMeant)
    }

    @Test("what is no pattern is refused", arguments: ["", "a.b.c", ".a", "a.", "\"a", "[a", "a|b", "(a)", "a\\d", "\"\"", "a\u{0}"])
    func refused(_ pattern: String) {
        let error = #expect(throws: RepoError.self) { try TablePattern(pattern) }
        #expect(error?.code == .usage)
    }

    @Test("a pattern without wildcards is one table")
    func exact() throws {
        #expect(try TablePattern("Public.\"Or.ders\"").exact == TableName(schema: "public", name: "Or.ders"))
        #expect(try TablePattern("public.o*").exact == nil && TablePattern("orders").exact == nil)
        let odd = TableName(schema: "a.b\"*", name: "c?[x]")
        #expect(TablePattern(exactly: odd).matches(schema: odd.schema, name: odd.name))
    }

    @Test("names that go with a renamed table fit into what the server takes, and stay different")
    func renamed() {
        var taken: Set<String> = []
        #expect(TableRenaming.name("orders_pkey", "orders", "kept", &taken) == "kept_pkey")
        #expect(TableRenaming.name("by_date", "orders", "kept", &taken) == "kept_by_date")
        #expect(TableRenaming.name("orders_pkey", "orders", "kept", &taken) == "kept_pkey_1")
        let long = String(repeating: "ü", count: 31)
        for _ in 0..<3 {
            let name = TableRenaming.name("\(long)_pkey", "orders", long, &taken)
            #expect(name.utf8.count <= 63 && name.hasPrefix("üüü"))
        }
        #expect(taken.count == 6)
    }
}
