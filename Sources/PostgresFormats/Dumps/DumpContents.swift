public import RepoBase

/// What stands in an archive that pg_dump made in its custom format: the table of contents at its beginning, with which the data blocks behind it are
/// found (`WriteHead` and `WriteToc`, bin/pg_dump/pg_backup_archiver.c; versions 1.14 of PostgreSQL 13 to 15, 1.15 of 16, 1.16 of 17 and 18).
public struct DumpContents: Hashable, Sendable {
    /// The database that was dumped.
    public let database: String
    /// As the server told it: `15.20 (Debian 15.20-0+deb12u1)`.
    public let serverVersion: String
    /// Data blocks hold the rows as they are.
    public let isUncompressed: Bool
    /// In the order in which they are to be restored; data blocks stand in the same.
    public let entries: [DumpEntry]
    /// Bytes from the archive's beginning to its first data block.
    public let byteCount: Int
    let layout: DumpLayout

    /// No table of contents is longer: bytes.
    public static let sizeLimit = 1 << 30

    /// Reads the beginning of an archive. Nil when more of it is needed.
    ///
    /// Throws `.damaged`, naming `object`, for what is no such archive, and `.usage` for one of a version that is not known.
    public init?(_ bytes: ArraySlice<UInt8>, object: String) throws(RepoError) {
        var reader = DumpFieldReader(bytes, object: object)
        do throws(DumpFieldReader.Failure) {
            let layout = try DumpLayout(&reader)
            self.layout = layout
            reader.layout = layout
            isUncompressed = layout.minor >= 15 ? try reader.byte() == 0 : try reader.integer() == 0
            // Seconds, minutes, …, as struct tm has them: when it was made, which the snapshot knows better.
            for _ in 0..<7 { _ = try reader.integer() }
            database = try reader.text() ?? ""
            serverVersion = try reader.text() ?? ""
            _ = try reader.text()
            let count = try reader.integer()
            // An entry has at least 20 fields of at least one byte and an integer's.
            guard count >= 0, count < Self.sizeLimit / 100 else { throw DumpFieldReader.Failure.damaged("it has \(count) entries") }
            var entries: [DumpEntry] = []
            for _ in 0..<count {
                let entry = try DumpEntry(&reader)
                entries.append(entry)
                // The first one. The database's name stands before it, and is told to people alone.
                if entry.kind == "ENCODING" { reader.texts = DumpTexts(entry.definition) }
            }
            self.entries = entries
            byteCount = reader.position - bytes.startIndex
        } catch {
            switch error {
            case .short:
                guard bytes.count < Self.sizeLimit else { throw .damaged(object, "its table of contents does not end") }
                return nil
            case .damaged(let why): throw .damaged(object, why)
            case .unknown(let version):
                throw RepoError(
                    .usage, "\(object) is an archive of version \(version), which this program does not know",
                    advice: "Restore it with pg_restore: repo cat SNAP '\(object)' | pg_restore …")
            }
        }
    }

    /// `server_version_num / 10000` of the server that was dumped; 0 where it is not told.
    public var serverMajor: Int { Int(serverVersion.prefix(while: \.isNumber)) ?? 0 }
}

/// One thing that an archive restores.
public struct DumpEntry: Hashable, Sendable {
    /// `dumpId`: what dependencies and pg_restore's lists refer to.
    public let id: Int32
    /// Rows of it stand in a data block.
    public let hasData: Bool
    /// `desc`: `TABLE`, `TABLE DATA`, `FK CONSTRAINT`, …
    public let kind: String
    /// `tag`: for most kinds the name; `<table> <name>` for what belongs to a table, `<kind> <name>` for comments and rights.
    public let name: String
    /// Nil for what lies in none.
    public let schema: String?
    public let owner: String?
    /// Empty for the default one.
    public let tablespace: String
    /// SQL that makes it.
    public let definition: String
    /// SQL that drops it; empty where nothing has to.
    public let dropStatement: String
    /// `COPY schema.table (columns) FROM stdin;` for rows; empty for others.
    public let copyStatement: String
    /// Entries that have to be there first, as far as the archive holds them.
    public let dependencies: [Int32]

    init(_ reader: inout DumpFieldReader) throws(DumpFieldReader.Failure) {
        id = try reader.integer()
        hasData = try reader.integer() != 0
        // The catalogue that it stands in and its oid there.
        _ = try reader.text()
        _ = try reader.text()
        name = try reader.text() ?? ""
        kind = try reader.text() ?? ""
        // pre-data, data, post-data.
        _ = try reader.integer()
        definition = try reader.text() ?? ""
        dropStatement = try reader.text() ?? ""
        copyStatement = try reader.text() ?? ""
        schema = try reader.text()
        tablespace = try reader.text() ?? ""
        _ = try reader.text()  // Its table access method.
        if (reader.layout?.minor ?? 0) >= 16 { _ = try reader.integer() }  // relkind
        owner = try reader.text()
        _ = try reader.text()  // Once: whether it has oids.
        var dependencies: [Int32] = []
        while let text = try reader.text() {
            guard let id = Int32(text) else { throw .damaged("an entry depends on '\(text.prefix(20))'") }
            dependencies.append(id)
        }
        self.dependencies = dependencies
        try reader.skip(1 + (reader.layout?.offsetSize ?? 0))
    }

    /// For tests.
    init(
        id: Int32, kind: String, name: String, schema: String?, dependencies: [Int32] = [], definition: String = "", hasData: Bool = false,
        copyStatement: String = "", owner: String? = nil, tablespace: String = ""
    ) {
        (self.id, self.kind, self.name, self.schema, self.dependencies, self.definition) = (id, kind, name, schema, dependencies, definition)
        dropStatement = ""
        (self.hasData, self.copyStatement, self.owner, self.tablespace) = (hasData, copyStatement, owner, tablespace)
    }
}

/// Sizes of numbers in an archive, which are those of the machine that made it.
struct DumpLayout: Hashable, Sendable {
    let minor: Int
    let integerSize: Int
    let offsetSize: Int

    init(_ reader: inout DumpFieldReader) throws(DumpFieldReader.Failure) {
        let magic = try reader.raw(5)
        guard magic.elementsEqual("PGDMP".utf8) else { throw .damaged("it is no archive of pg_dump") }
        let (major, minor, revision) = (try reader.byte(), try reader.byte(), try reader.byte())
        guard major == 1, (12...16).contains(minor) else { throw .unknown("\(major).\(minor).\(revision)") }
        self.minor = Int(minor)
        integerSize = Int(try reader.byte())
        offsetSize = Int(try reader.byte())
        guard (4...8).contains(integerSize), (4...8).contains(offsetSize) else { throw .damaged("its numbers have \(integerSize) bytes") }
        // archCustom of pg_backup.h.
        guard try reader.byte() == 1 else { throw .damaged("it is not in the custom format") }
    }
}
