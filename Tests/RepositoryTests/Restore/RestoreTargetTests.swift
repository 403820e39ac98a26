import Testing

@testable import Repository

@Suite("Where a restore writes")
struct RestoreTargetTests {
    @Test(
        "Every directory on the way is made, whatever its name's length",
        arguments: [
            ("t", ["t"]), ("ab", ["ab"]), ("a/b", ["a/", "a/b"]), ("./t", ["./", "./t"]), ("/a", ["/a"]), ("/a/b/", ["/a/", "/a/b/"]), ("//a", ["//a"]), ("/", []),
            ("", []),
        ])
    func parts(_ path: String, _ parts: [String]) {
        #expect(RestoreTarget.parts(of: Array(path.utf8)).map { String(decoding: $0, as: UTF8.self) } == parts)
    }
}
