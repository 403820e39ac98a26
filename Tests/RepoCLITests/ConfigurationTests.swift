import Policy
import RepoBase
import Testing

@testable import RepoCLI

@Suite("The configuration")
struct ConfigurationTests {
    @Test func everythingItKnowsIsRead() throws {
        let configuration = try Configuration(
            parsing: """
                [repository]
                url = "/srv/backup"
                password-file = "/etc/repo/password"
                [retention]
                preset = "compact"
                [[source]]
                name = "uploads"
                kind = "files"
                paths = ["/srv/uploads"]
                exclude = ["*.tmp"]
                exclude-files = ["/etc/repo/excludes"]
                one-file-system = true
                exclude-caches = true
                compression-level = 9
                host = "web"
                tags = ["a=b"]
                [source.retention]
                preset = "standard"
                keep-last = 3
                keep-within = "7d"
                minimum-age = "2d"
                [[source]]
                name = "main-db"
                kind = "postgres"
                dsn = "host=/run/postgresql user=backup"
                [source.retention]
                preset = "standard"
                recovery-window = "30d"
                """, file: "repo.toml")
        #expect(configuration.repository.url == "/srv/backup")
        #expect(configuration.retention == RetentionPreset.compact.rules)
        let source = configuration.sources[0]
        #expect(
            source.kind
                == .files(
                    ConfiguredFiles(
                        paths: ["/srv/uploads"], excludes: ["*.tmp"], excludeFiles: ["/etc/repo/excludes"],
                        staysOnFileSystem: true, skipsTaggedCaches: true)))
        #expect((source.host, source.tags, source.compressionLevel) == ("web", ["a=b"], 9))
        #expect(source.retention?.keep[.last] == .upTo(3))
        #expect(source.retention?.keep[.daily] == .upTo(30))
        #expect(configuration.sources[1].kind == .postgres(ConfiguredPostgres(dsn: "host=/run/postgresql user=backup")))
    }

    @Test func nothingIsAnEmptyConfiguration() throws {
        #expect(try Configuration(parsing: "", file: "x") == Configuration())
    }

    static let source = "[[source]]\nname = \"a\"\nkind = \"files\"\npaths = [\"/a\"]\n"

    @Test(
        arguments: [
            ("[repositry]\nurl = \"x\"", 1, "unknown key 'repositry'", "Did you mean 'repository'?"),
            (
                "[repository]\nurl = \"x\"\npasword-file = \"y\"", 3,
                "unknown key 'pasword-file' in [repository]", "'password-file'"
            ),
            ("[repository]\n\n# comment\nurl = 5", 4, "'url' must be a string in quotes", ""),
            ("[repository]\nurl = \"\"", 2, "'url' is empty", ""),
            ("x = = 1", 1, "", ""),
            ("[repository]\nurl = \"a\"\nurl = \"b\"", 3, "", ""),
            ("[source]\nname = \"a\"", 1, "[[source]]", ""),
            ("[[source]]\nkind = \"files\"", 1, "a source has no name", ""),
            ("[[source]]\nname = \"a\"", 2, "source 'a' has no kind", "kind = "),
            ("[[source]]\nname = \"a\"\nkind = \"file\"", 3, "unknown kind 'file'", "Did you mean 'files'?"),
            ("[[source]]\nname = \"a\"\nkind = \"files\"", 1, "source 'a' has no paths", ""),
            ("[[source]]\nname = \"a\"\nkind = \"files\"\npahts = [\"/b\"]", 4, "unknown key 'pahts' in [[source]]", "Did you mean 'paths'?"),
            ("[[source]]\nname = \"a\"\nknd = \"files\"", 3, "unknown key 'knd' in [[source]]", "Did you mean 'kind'?"),
            (
                "[[source]]\nname = \"a\"\nkind = \"files\"\npaths = [\"b\"]", 4,
                "'b' is not an absolute path", ""
            ),
            (source + source, 6, "there are two sources named 'a'", ""),
            (source + "excludes = []", 5, "unknown key 'excludes' in [[source]]", "Did you mean 'exclude'?"),
            (source + "tags = [\"b\"]", 5, "'b' is not a tag", ""),
            (source + "tags = [1]", 5, "strings", ""),
            (source + "compression-level = 20", 5, "from 1 to 19", ""),
            (
                source + "[source.retention]\nkeep-dayly = 3", 6,
                "unknown key 'keep-dayly' in [source.retention]", "'keep-daily'"
            ),
            (source + "[source.retention]\npreset = \"best\"", 6, "there is no preset 'best'", "standard"),
            (source + "[source.retention]\nkeep-within = \"5x\"", 6, "is not a duration", ""),
            (source + "[source.retention]\nkeep-daily = -2", 6, "-2", ""),
            (source + "[source.retention]\nminimum-age = \"2d\"", 5, "no rule keeps any snapshot", ""),
            (
                source + "[source.retention]\npreset = \"standard\"\nrecovery-window = \"3d\"", 7,
                "unknown key 'recovery-window'", ""
            ),
            (
                source + source.replacing("\"a\"", with: "\"b\"")
                    + "exclude = [ # x\n \"a#b\",\n]\nonefs = true", 12,
                "unknown key 'onefs'", ""
            ),
        ])
    func mistakesAreNamedWithTheirLine(_ text: String, _ line: Int, _ message: String, _ advice: String)
        throws
    {
        let error = try #require(throws: RepoError.self) {
            try Configuration(parsing: text, file: "repo.toml")
        }
        #expect(error.code == .usage)
        #expect(error.message.hasPrefix("repo.toml, line \(line): "), "\(error.message)")
        #expect(message.isEmpty || error.message.contains(message), "\(error.message)")
        #expect(advice.isEmpty || error.advice.contains(advice), "\(error.advice)")
    }

    @Test func linesAreFoundThroughStringsAndTables() {
        let lines = TOMLLines(
            "a = '''\nx\n[no]\n'''\n[t]\n\"quoted key\" = [\n 1, # ]\n 2]\n[[s]]\n[s.u]\nb.c = { d = 1 }\n[[s]]\nb = \"\\\"\"\nz = 1"
        )
        #expect(lines.line(of: ["a"]) == 1)
        #expect(lines.line(of: ["t", "quoted key"]) == 6)
        #expect(lines.line(of: ["s", "0", "u", "b", "c", "d"]) == 11)
        #expect(lines.line(of: ["s", "1", "z"]) == 14)
        #expect(lines.line(of: ["s", "1", "missing"]) == 12)
    }

    @Test(arguments: [("kitten", "sitting", 3), ("", "abc", 3), ("same", "same", 0), ("ab", "ba", 1), ("pahts", "paths", 1), ("ca", "abc", 3)])
    func anExchangeOfTwoNeighboursIsOneSlip(_ a: String, _ b: String, _ distance: Int) {
        #expect(NearestName.distance(Array(a.utf8), Array(b.utf8)) == distance)
        #expect(NearestName.distance(Array(b.utf8), Array(a.utf8)) == distance)
    }
}
