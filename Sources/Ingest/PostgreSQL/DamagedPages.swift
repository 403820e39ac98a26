import PostgresClient
import PostgresFormats
import RepoBase

/// Damaged pages as people know them: by the names of database and relation where the server can be asked, and by path.
struct DamagedPages {
    /// One for each file.
    let problems: [SourceProblem]
    /// All pages.
    let count: UInt64

    init(_ findings: PageFindings, stop: LogSequenceNumber, _ cluster: ClusterConnection) {
        let (list, count) = findings.damage(stop: stop)
        self.count = count
        var names = RelationNames(cluster)
        var files: [(path: [UInt8], blocks: [UInt32])] = []
        for finding in list {
            if files.last?.path == finding.path {
                files[files.count - 1].blocks.append(finding.block)
            } else {
                files.append((finding.path, [finding.block]))
            }
        }
        problems = files.map { file in
            SourceProblem(path: file.path, message: Self.message(file.path, file.blocks, &names))
        }
    }

    private static func message(_ path: [UInt8], _ blocks: [UInt32], _ names: inout RelationNames) -> String {
        let text = RawPath.describe(path)
        let shown = blocks.prefix(5).map { "\($0)" }.joined(separator: ", ") + (blocks.count > 5 ? " and \(blocks.count - 5) more" : "")
        let what = blocks.count == 1 ? "block \(shown) is" : "blocks \(shown) are"
        guard let file = RelationFile(path: text) else { return "\(text): \(what) damaged on the server" }
        let fork =
            switch file.fork {
            case .main: "main fork"
            case .freeSpace: "free space map"
            case .visibility: "visibility map"
            case .initial: "init fork"
        }
        return "\(names.name(of: file)), \(fork) (\(text)): \(what) damaged on the server (wrong page checksum); the snapshot holds what is there"
    }
}

/// Asks the server how relations are called, one connection for each database at a time.
struct RelationNames {
    private let cluster: ClusterConnection
    private let databases: [UInt32: String]
    private var connection: (database: UInt32, connection: PostgresConnection?)?

    init(_ cluster: ClusterConnection) {
        self.cluster = cluster
        databases = cluster.databaseNames() ?? [:]
    }

    /// `table public.orders of database shop`; numbers where nobody can be asked, or the relation is gone.
    mutating func name(of file: RelationFile) -> String {
        let place = file.database == 0 ? "all databases" : "database \(databases[file.database] ?? "\(file.database)")"
        guard let asked = connection(to: file.database) else { return "relation \(file.filenode) of \(place)" }
        // pg_default and pg_global (catalog/pg_tablespace_d.h).
        let tablespace = file.tablespace != 0 ? file.tablespace : file.database == 0 ? 1664 : 1663
        let question = """
            SELECT c.oid::pg_catalog.regclass::text, c.relkind, owner.oid::pg_catalog.regclass::text
            FROM pg_catalog.pg_class c
            LEFT JOIN pg_catalog.pg_class owner ON owner.reltoastrelid = c.oid
            WHERE c.oid = pg_catalog.pg_filenode_relation(\(tablespace), \(file.filenode))
            """
        guard let answer = try? asked.query(question), let name = answer[0, 0] else {
            return "relation \(file.filenode) of \(place)"
        }
        if let owner = answer[0, 2] { return "the TOAST table of \(owner) of \(place)" }
        let kind =
            switch answer[0, 1] {
            case "r", "p": "table"
            case "i", "I": "index"
            case "m": "materialised view"
            case "S": "sequence"
            default: "relation"
        }
        return "\(kind) \(name) of \(place)"
    }

    private mutating func connection(to database: UInt32) -> PostgresConnection? {
        if database == 0 { return cluster.questions }
        if let connection, connection.database == database { return connection.connection }
        let made = databases[database].flatMap { try? PostgresConnection(cluster.target.database($0)) }
        connection = (database, made)
        return made
    }
}
