import Testing

@testable import Ingest

/// The real git decides over generated patterns and paths, and must be agreed with on every pair, down to
/// the line that decides.
@Suite struct GitOracleTests {
    /// Pieces from which both patterns and names are made, so that they meet often.
    static let letters = [
        "a", "b", "c", "ab", "tmp", "B", "-", "]", " ", "é", "\\", "*", "é.x", ".tmp", "x1",
    ]
    static let wildcards = [
        "*", "**", "?", "[ab]", "[!a]", "[^b]", "[a-c]", "[[:alpha:]]", "[[:digit:][:upper:]]", "[]a]",
        "[!]a]", "[a-]", "[\\]]", "[a\\-c]", "\\a", "\\*", "\\?", "\\", "[", "[[:foo:]]", "***", "[[:a]",
        "[[:]", "[b-a]", "[--a]", "\\[", "[ ]", "[[:space:]]", "[[:punct:]]", "[a-b-c]",
    ]
    static let separators = ["/", "/", "/**/", "/*/", "**/", "/**", "\\/", "//"]

    static func pattern(_ random: inout SeededGenerator) -> String {
        var text = ["", "", "", "!", "/", "!/", "**/", "#", " "].randomElement(using: &random)!
        for piece in 0..<Int.random(in: 1...4, using: &random) {
            if piece > 0, Int.random(in: 0..<2, using: &random) == 0 {
                text += separators.randomElement(using: &random)!
            }
            let pieces = Int.random(in: 0..<3, using: &random) == 0 ? wildcards : letters
            text += pieces.randomElement(using: &random)!
        }
        text += ["", "", "", "/", "/**", "*", " ", "\\ ", "\r"].randomElement(using: &random)!
        return text
    }

    static func name(_ random: inout SeededGenerator) -> String {
        (0..<Int.random(in: 1...2, using: &random)).map { _ in letters.randomElement(using: &random)! }
            .joined()
    }

    @Test(.enabled(if: Program.isAvailable("/usr/bin/git")), arguments: UInt64(1)...8)
    func agreesWithGit(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let work = try TemporaryDirectory()
        try Program.run("/usr/bin/git", ["init", "-q", work.text])

        // A real tree, since git looks whether a path is a directory.
        var directories = [""]
        var paths: [(path: [UInt8], isDirectory: Bool)] = []
        var seen: Set<String> = []
        for _ in 0..<160 {
            let parent = directories.randomElement(using: &random)!
            let path = parent + Self.name(&random)
            guard seen.insert(path).inserted, parent.split(separator: "/").count < 5 else { continue }
            let isDirectory = Int.random(in: 0..<2, using: &random) == 0
            if isDirectory {
                work.makeDirectory(path)
                directories.append(path + "/")
            } else {
                work.write(path, "")
            }
            paths.append((Array(path.utf8), isDirectory))
        }

        for _ in 0..<12 {
            let lines = (0..<Int.random(in: 1...6, using: &random)).map { _ in Self.pattern(&random) }
            let file = Array(lines.joined(separator: "\n").utf8)
            work.write(".git/info/exclude", String(decoding: file, as: UTF8.self))
            let input = Array(paths.map(\.path).joined(separator: CollectionOfOne(0))) + [0]
            let output = try Program.run(
                "/usr/bin/git",
                [
                    "-C", work.text, "-c", "core.excludesFile=", "check-ignore", "--no-index", "-v", "-n",
                    "-z",
                    "--stdin",
                ],
                input: input, accepted: [0, 1])
            // source, line number, pattern, path: four fields for each path.
            let fields = output.split(separator: 0, omittingEmptySubsequences: false).map(Array.init)
            try #require(fields.count == paths.count * 4 + 1)

            // Below `/` a pattern read as an absolute path, which git does not know, is the same.
            let matcher = ExcludeMatcher(ExcludePattern.parse(file: file), root: Array("/".utf8))
            for (index, (path, isDirectory)) in paths.enumerated() {
                let expected = fields[index * 4 + 2]
                let decision = matcher.decidingPattern(path, isDirectory: isDirectory)
                #expect(
                    (decision?.source ?? []) == expected,
                    "\(RawPath.describe(path)), directory: \(isDirectory), lines: \(lines)")
            }
        }
    }
}
