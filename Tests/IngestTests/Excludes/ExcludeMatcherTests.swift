import Glibc
import Testing

@testable import Ingest

@Suite struct ExcludeMatcherTests {
    func matcher(_ lines: String..., root: String = "/") -> ExcludeMatcher {
        ExcludeMatcher(lines.map { ExcludePattern($0) }, root: Array(root.utf8))
    }

    @Test func laterPatternsDecide() {
        let matcher = matcher("*.log", "!keep.log", "build/")
        #expect(matcher.excludes(Array("a/b.log".utf8), isDirectory: false))
        #expect(!matcher.excludes(Array("a/keep.log".utf8), isDirectory: false))
        #expect(matcher.excludes(Array("x/build/keep.log".utf8), isDirectory: false))
        #expect(!matcher.excludes(Array("x/build".utf8), isDirectory: false))
    }

    @Test func excludedDirectoryCannotBeEnteredAgain() {
        let matcher = matcher("cache", "!cache/keep")
        #expect(matcher.excludes(Array("cache/keep".utf8), isDirectory: false))
    }

    @Test func namesNeedNotBeText() {
        let matcher = ExcludeMatcher(
            [ExcludePattern([0xff, 0x2a]), ExcludePattern([0x5b, 0xe0, 0x2d, 0xef, 0x5d])], root: [0x2f])
        #expect(matcher.excludes([0xff, 0xfe, 0x80], isDirectory: false))
        #expect(matcher.excludes([0xe9], isDirectory: false))
        #expect(!matcher.excludes([0xdf], isDirectory: false))
    }

    @Test(arguments: [
        ("/srv/www/cache", "cache", true),
        ("/cache", "cache", true),
        ("/srv/*/cache", "cache", true),
        ("/srv/**/x", "a/b/x", true),
        ("/**/x", "a/b/x", true),
        ("/srv/www/*.tmp", "a.tmp", true),
        ("/srv/www/*.tmp", "b/a.tmp", false),
        ("/srv/www", "a", false),
        ("/srv/*", "a", false),
        ("/srv/wwwcache", "cache", false),
        ("/srv/other/cache", "cache", false),
        ("srv/www/cache", "cache", false),
    ])
    func leadingSlashMayAlsoMeanTheRootOfTheSystem(pattern: String, path: String, isExcluded: Bool) {
        let matcher = matcher(pattern, root: "/srv/www")
        #expect(matcher.excludes(Array(path.utf8), isDirectory: false) == isExcluded)
    }

    @Test func patternOfTheCommandLineIsTakenAsItIs() {
        #expect(matcher("#a").excludes(Array("#a".utf8), isDirectory: false))
        #expect(matcher("a ").excludes(Array("a ".utf8), isDirectory: false))
        #expect(!matcher("a ").excludes(Array("a".utf8), isDirectory: false))
    }

    @Test func fileLinesAreTrimmedAsGitDoes() {
        let file = Array("\u{feff}a  \r\n\r\n# no\n\\#b\nc\\ \\\\  \n   \nd".utf8)
        let sources = ExcludePattern.parse(file: file).map { String(decoding: $0.source, as: UTF8.self) }
        #expect(sources == ["a", "\\#b", "c\\ \\\\", "d"])
    }

    /// Each of these takes exponential or high polynomial time where a matcher tries all ways.
    @Test(arguments: [
        String(repeating: "a*", count: 100) + "b",
        String(repeating: "*a", count: 60) + "/b",
        String(repeating: "**/a*a/", count: 40) + "b",
        String(repeating: "*/", count: 100) + "b",
        String(repeating: "**/", count: 100) + "?*b",
        String(repeating: "[a]*?", count: 80) + "b",
    ])
    func hostilePatternsEnd(pattern: String) {
        let name = String(repeating: "a", count: 200)
        let path = Array(((0..<100).map { _ in name }.joined(separator: "/") + "/aaaa").utf8)
        let matcher = matcher(pattern, pattern + "/c")
        var before = timespec()
        var after = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before)
        #expect(!matcher.excludes(path, isDirectory: false))
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after)
        #expect(after.tv_sec - before.tv_sec < 20)
    }

    /// `*` and `**` by the letter of their definition, tried in all ways.
    static func matchesSlowly(_ steps: ArraySlice<GlobPattern.Step>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let step = steps.first else { return text.isEmpty }
        let rest = steps.dropFirst()
        let slash = UInt8(ascii: "/")
        switch step {
        case .byte(let byte): return text.first == byte && matchesSlowly(rest, text.dropFirst())
        case .anyByte, .set:
            return !text.isEmpty && text.first != slash && matchesSlowly(rest, text.dropFirst())
        case .star:
            return matchesSlowly(rest, text)
                || !text.isEmpty && text.first != slash && matchesSlowly(steps, text.dropFirst())
        case .anything:
            return matchesSlowly(rest, text) || !text.isEmpty && matchesSlowly(steps, text.dropFirst())
        case .directories:
            return matchesSlowly(rest, text)
                || text.indices.contains { text[$0] == slash && matchesSlowly(rest, text[($0 + 1)...]) }
        }
    }

    /// Generated patterns of up to six pieces against paths of up to nine bytes over `a`, `b` and slash.
    @Test func matchingWithoutBacktrackingFindsWhatAllWaysFind() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<4_000 {
            let pieces = ["a", "b", "*", "?", "/", "/**/", "**/", "/**", "/*/"]
            let pattern = (0..<Int.random(in: 1...6, using: &random))
                .map { _ in pieces.randomElement(using: &random)! }.joined()
            let glob = GlobPattern(Array(pattern.utf8)[...], isPath: true)
            for _ in 0..<60 {
                let text = (0..<Int.random(in: 1...9, using: &random)).map { _ in
                    Array("aab/".utf8).randomElement(using: &random)!
                }
                // Real paths have no empty components.
                let path = Array(
                    text.split(separator: UInt8(ascii: "/")).joined(separator: [UInt8(ascii: "/")]))
                let found = path.withUnsafeBufferPointer { glob.matches($0) }
                #expect(
                    found == Self.matchesSlowly(glob.steps[...], path[...]),
                    "\(pattern) \(RawPath.describe(path))")
            }
        }
    }
}
