import ArgumentParser
import RepoBase
import Repository

struct DrillCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "drill",
        abstract: "Test a restore: bring it back, look at it, throw it away, and keep a report.",
        discussion: """
            Of a PostgreSQL source, a moment is recovered into a folder of its own by a server that nobody else can reach: \
            the newest moment, one that is named, or one picked by chance from all that can be recovered. Tables and \
            indexes are looked at (pg_amcheck), page checksums are verified, and your own SQL has to be true. Dumps of \
            PostgreSQL are loaded into an empty server that is made for it, and the rows of every table are counted. Of \
            any other source, a snapshot is restored, and every file is read again and compared.

            The report is kept in the repository. Exit status 0: passed. 1: it came back, and a check failed. 12: the \
            repository is damaged. 13: the moment cannot be recovered. What was restored is removed in any case, and what a \
            killed test has left is removed by the next one.

            Examples:
              repo drill --source main-db --random
              repo drill --source main-db --assert 'SELECT count(*) > 0 FROM public.orders' --database shop
              repo drill --source main-db --at '2026-11-03 02:30:00' --sql-file /etc/repo/drill.sql
              repo drill --source uploads
              repo drill --list
              repo drill --show latest
            """)

    @Argument(help: SnapshotName.help) var snapshot: String?
    @Option(help: ArgumentHelp("The source to test.", valueName: "name")) var source: String?
    @Option(help: ArgumentHelp("The moment to recover.", valueName: "time")) var at: String?
    @Flag(help: "Everything there is. (default)") var latest = false
    @Flag(help: "A moment, or a snapshot, picked by chance.") var random = false
    @Option(
        name: .customLong("assert"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("SQL that has to be true of the restored data; may be repeated.", valueName: "sql"))
    var assertions: [String] = []
    @Option(
        name: .customLong("sql-file"),
        help: ArgumentHelp("A file of such SQL: every answer has to be true; may be repeated.", valueName: "file"))
    var files: [String] = []
    @Option(help: ArgumentHelp("The database in which assertions are asked. (default: the only one)", valueName: "name")) var database: String?
    @Flag(help: "Leave the restored files in their folder.") var keep = false
    @Option(
        help: ArgumentHelp("Where to restore to, in a folder of its own. [TMPDIR] (default: /var/tmp)", valueName: "folder"))
    var scratch: String?
    @Option(
        help: ArgumentHelp(
            "Which history to follow: 'latest', 'current' (that of the newest base backup), or a number. (default: latest)", valueName: "timeline"))
    var timeline: String?
    @Flag(name: .customLong("heapallindexed"), help: "Also look up every row in its indexes; takes longer.") var rowsInIndexes = false
    @Flag(inversion: .prefixedNo, help: "Look at tables and indexes with pg_amcheck.") var amcheck = true
    @Flag(inversion: .prefixedNo, help: "Verify page checksums.") var checksums = true
    @Option(help: ArgumentHelp("Where PostgreSQL's programs are.", valueName: "folder")) var postgresBin: String?
    @Option(help: ArgumentHelp("A superuser of the cluster. (default: postgres)", valueName: "role")) var superuser: String?
    @Option(help: ArgumentHelp("shared_buffers of the server.", valueName: "size")) var buffers = "128M"
    @Flag(help: "List the reports, oldest first.") var list = false
    @Option(help: ArgumentHelp("Show this report: its id, the first digits of it, or 'latest'.", valueName: "report")) var show: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        let targets = [("--at", at != nil), ("--latest", latest), ("--random", random)].filter(\.1).map(\.0)
        if targets.count > 1 { throw ValidationError("\(targets.joined(separator: " and ")) exclude each other.") }
        guard list || show != nil else { return }
        if list, show != nil { throw ValidationError("--list and --show exclude each other.") }
        if !targets.isEmpty || snapshot != nil || !assertions.isEmpty || !files.isEmpty || keep {
            throw ValidationError("\(list ? "--list" : "--show") tells of tests that took place, and goes with no option of a new one.")
        }
    }

    func run(_ context: CommandContext) throws -> Int32 {
        if list { return try DrillReports(context).list(source: source) }
        if let show { return try DrillReports(context).show(show) }
        return try DrillRun(context: context, arguments: self).run()
    }
}
