import Storage
import Testing

@Suite("Names of objects")
struct StoreKeyTests {
    private static let hash = String(repeating: "0af9", count: 16)

    @Test(
        "A name that ends in a hash tells the content, and no other does",
        arguments: [
            ("packs/0a/\(hash)", true), (hash, true), ("packs/0a/\(hash.dropLast())", false), ("packs/\(hash)f", false), ("index/x\(hash)", false),
            ("packs/\(hash.uppercased())", false), ("\(hash)/alive", false), ("wal/7/00000001/000000010000000000000001", false),
        ])
    func content(_ name: String, _ tells: Bool) { #expect(StoreKey(name).namesContent == tells) }
}
