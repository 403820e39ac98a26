import Policy
import RepoBase
import Repository
import Storage
import TOMLKit

extension Configuration {
    /// - Parameter file: its name, for messages.
    ///
    /// Throws `.usage`, naming the line, for everything that is not as it should be.
    init(parsing text: String, file: String) throws(RepoError) {
        let root: TOMLTable
        do {
            root = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw RepoError(.usage, "\(file), line \(error.source.begin.line): \(error.description)")
        } catch {
            throw RepoError(.usage, "\(file): \(error)")
        }
        var table = ConfigurationTable(root, [], .init(file: file, lines: TOMLLines(text)))
        if let section = try table.table("repository") { repository = try ConfiguredRepository(section) }
        if let section = try table.table("retention") {
            var none: CalendarSpan?
            retention = try RetentionRules(section, isDatabase: false, window: &none)
        }
        for section in try table.tables("source") {
            let source = try ConfiguredSource(section)
            guard !sources.contains(where: { $0.name == source.name }) else {
                throw section.error(
                    "name", "there are two sources named '\(source.name)'", advice: "Rename one.")
            }
            sources.append(source)
        }
        for section in try table.tables("copy") {
            let copy = try ConfiguredRepository(section)
            guard let url = copy.url else {
                throw section.error("url", "a copy has no url", advice: "Write url = \"/mnt/offsite/backup\".")
            }
            guard !copies.contains(where: { $0.url == url }), url != repository.url else {
                throw section.error("url", "'\(url)' is named twice", advice: "Each copy is another repository.")
            }
            copies.append(copy)
        }
        try table.finish()
    }
}

extension ConfiguredRepository {
    init(_ section: ConfigurationTable) throws(RepoError) {
        var table = section
        url = try table.string("url")
        passwordFile = try table.string("password-file")
        passwordCommand = try table.string("password-command")
        keyFile = try table.string("key-file")
        isOffSite = try table.bool("off-site")
        if let text = try table.string("cache-size") {
            guard let size = text == "0" ? 0 : ByteCount.parse(text) else {
                throw table.error("cache-size", "'\(text)' is not a size", advice: "Write cache-size = \"1G\", or \"0\" for no copies.")
            }
            cacheSize = size
        }
        if let text = try table.string("capacity") {
            guard let size = ByteCount.parse(text), size > 0 else {
                throw table.error("capacity", "'\(text)' is not a size", advice: "Write capacity = \"2T\".")
            }
            capacity = size
        }
        if let text = try table.string("capacity-warning") {
            guard text.hasSuffix("%"), let percent = Double(text.dropLast()), (1...100).contains(percent) else {
                throw table.error("capacity-warning", "'\(text)' is not a percentage", advice: "Write capacity-warning = \"80%\".")
            }
            capacityWarning = percent / 100
        }
        rates = try RateSchedule(&table)
        try table.finish()
    }
}

extension ConfiguredSource {
    private static let kinds = ["files", "command", "postgres"]

    init(_ section: ConfigurationTable) throws(RepoError) {
        var table = section
        guard let name = try table.string("name") else {
            throw table.missing(
                "name", "a source has no name", advice: "Give it one, as in name = \"uploads\".")
        }
        guard let kind = try table.string("kind") else {
            throw table.missing(
                "kind", at: "name", "source '\(name)' has no kind", advice: "Write kind = \"files\" or \"command\".")
        }
        switch kind {
        case "files": self.init(name: name, kind: .files(try ConfiguredFiles(&table, name)))
        case "command":
            guard let command = try table.strings("command"), !command.isEmpty else {
                throw table.missing(
                    "command", "source '\(name)' has no command",
                    advice: "Write command = [\"pg_dump\", \"shop\"]; no shell is involved.")
            }
            self.init(name: name, kind: .command(command))
        case "postgres":
            self.init(name: name, kind: .postgres(try ConfiguredPostgres(&table, name)))
        default:
            let nearest = NearestName.find(kind, in: Self.kinds).map { "Did you mean '\($0)'?" }
            throw table.error(
                "kind", "source '\(name)' has the unknown kind '\(kind)'",
                advice: nearest ?? "Kinds are \(Self.kinds.joined(separator: ", ")).")
        }
        host = try table.string("host")
        tags = try table.strings("tags") ?? []
        for tag in tags where tag.firstIndex(of: "=").map({ $0 == tag.startIndex }) ?? true {
            throw table.error("tags", "'\(tag)' is not a tag", advice: "Write it as \"KEY=VALUE\".")
        }
        if let level = try table.int("compression-level") {
            guard (1...19).contains(level) else {
                throw table.error("compression-level", "'compression-level' is a number from 1 to 19")
            }
            compressionLevel = Int32(level)
        }
        if let choice = try table.string("delta-bases") {
            deltaBases = DeltaBaseChoice(rawValue: choice)
            guard deltaBases != nil else {
                throw table.error(
                    "delta-bases", "'delta-bases' is none of \(DeltaBaseChoice.allCases.map(\.rawValue).joined(separator: ", "))")
            }
        }
        if let section = try table.table("retention") {
            retention = try RetentionRules(section, isDatabase: kind == "postgres", window: &recoveryWindow)
        }
        try table.finish()
    }
}

extension ConfiguredPostgres {
    init(_ table: inout ConfigurationTable, _ name: String) throws(RepoError) {
        guard let dsn = try table.string("dsn") else {
            throw table.missing(
                "dsn", "source '\(name)' has no dsn", advice: "Write dsn = \"host=/run/postgresql user=backup\".")
        }
        self.init(dsn: dsn)
        isLogical = try table.bool("logical") ?? false
        includesLog = try table.bool("with-wal") ?? false
        checkpoint = try table.string("checkpoint")
        maximumRate = try table.string("max-rate")
        label = try table.string("label")
        databases = try table.strings("databases") ?? []
        excludedDatabases = try table.strings("exclude-databases") ?? []
        schemas = try table.strings("schemas") ?? []
        excludedSchemas = try table.strings("exclude-schemas") ?? []
        tables = try table.strings("tables") ?? []
        excludedTables = try table.strings("exclude-tables") ?? []
        countsRows = try table.bool("row-counts") ?? false
        do throws(RepoError) {
            _ = try validated { "'\($0)'" }
        } catch {
            throw table.error("dsn", "source '\(name)': \(error.message)", advice: error.advice)
        }
    }
}

extension ConfiguredFiles {
    init(_ table: inout ConfigurationTable, _ name: String) throws(RepoError) {
        guard let paths = try table.strings("paths"), !paths.isEmpty else {
            throw table.missing(
                "paths", "source '\(name)' has no paths", advice: "Write paths = [\"/srv/uploads\"].")
        }
        for path in paths where !path.hasPrefix("/") {
            throw table.error(
                "paths", "'\(path)' is not an absolute path",
                advice: "Where a relative path leads depends on where the program was started.")
        }
        self.init(paths: paths)
        excludes = try table.strings("exclude") ?? []
        excludeFiles = try table.strings("exclude-files") ?? []
        staysOnFileSystem = try table.bool("one-file-system") ?? false
        skipsTaggedCaches = try table.bool("exclude-caches") ?? false
    }
}

extension RetentionRules {
    /// - Parameters:
    ///   - isDatabase: whether `recovery-window` may stand there, as for databases with a log.
    ///   - window: what it says. Where nothing else stands there, base backups are kept for so long, too.
    init(_ section: ConfigurationTable, isDatabase: Bool, window: inout CalendarSpan?) throws(RepoError) {
        var table = section
        var rules = RetentionRules()
        if let name = try table.string("preset") {
            guard let preset = RetentionPreset(rawValue: name) else {
                let names = RetentionPreset.allCases.map(\.rawValue)
                throw table.error(
                    "preset", "there is no preset '\(name)'",
                    advice: "Presets are \(names.joined(separator: ", ")).")
            }
            rules = preset.rules
        }
        for period in RetentionPeriod.allCases {
            let key = "keep-\(period.rawValue)"
            guard let count = try table.int(key) else { continue }
            do {
                rules.keep[period] = try KeepCount(count)
            } catch {
                throw table.error(key, "\(error)")
            }
        }
        for period in RetentionPeriod.allCases {
            let key = period == .last ? "keep-within" : "keep-within-\(period.rawValue)"
            if let span = try table.span(key) { rules.keepWithin[period] = span }
        }
        for tags in try table.strings("keep-tags") ?? [] {
            rules.keepTags.append(tags.split(separator: ",").map(String.init))
        }
        rules.minimumAge = try table.span("minimum-age")
        rules.maximumCount = try table.int("maximum-count")
        if isDatabase { window = try table.span("recovery-window") }
        try table.finish()
        if let window, rules == RetentionRules() { rules.keepWithin[.last] = window }
        do {
            try rules.validate()
        } catch {
            throw table.error("", "\(error)")
        }
        self = rules
    }
}

extension ConfigurationTable {
    fileprivate mutating func span(_ key: String) throws(RepoError) -> CalendarSpan? {
        guard let text = try string(key) else { return nil }
        do {
            return try CalendarSpan(text)
        } catch {
            throw self.error(key, "\(error)")
        }
    }
}
