import Glibc
import PostgresClient
import PostgresFormats
import PostgresTesting
import RepoBase
import Storage
import Testing

@testable import Ingest
@testable import Repository

/// A repository in memory and a place to restore to, for a cluster's snapshots.
final class ClusterRepository {
    let store = MemoryStore()
    let repository: OpenRepository
    /// Belongs to the server's user.
    let folder: String

    init() throws {
        let keys = try RepositoryCreation.create(
            in: store, .password(Array("secret".utf8)),
            profiles: [
                .contentDefined(minimum: 4096, normal: 16384, maximum: 65536, strictBits: 14, looseBits: 10), .pageAligned(size: 65536),
            ], scrypt: ScryptParameters(log2N: 10, r: 1, p: 1)
        ).keyRing
        folder = try PostgresServer.makeFolder()
        repository = try OpenRepository(store: store, keys: keys, cacheDirectory: folder + "/cache")
    }

    deinit { _ = try? PostgresServer.run(["/bin/rm", "-rf", folder], asServer: false) }

    @discardableResult
    func snapshot(
        _ server: PostgresServer, user: String = "postgres", cancellation: CancellationFlag? = nil,
        _ change: (inout BaseBackupOptions) -> Void = { _ in }, onStart: (SnapshotWriter) -> Void = { _ in }
    ) throws -> SourceOutcome {
        var options = BaseBackupOptions()
        change(&options)
        let target = try ConnectionTarget("host=\(server.folder) user=\(user)")
        let cluster = try ClusterConnection(target, cancellation: cancellation)
        let description = SourceDescription(name: "main-db", host: "host", user: "user")
        return try BaseBackupSource(description, cluster: cluster, options: options).run(repository, onStart: onStart)
    }

    func restore(_ snapshot: Snapshot, _ name: String) throws -> String {
        let target = "\(folder)/\(name)"
        let result = try Restorer(repository, root: snapshot.root, target: Array(target.utf8)).run()
        #expect(result.problems.isEmpty)
        try PostgresServer.own(target)
        chmod(target, 0o700)
        return target
    }

    func paths(_ snapshot: Snapshot, below prefix: String = "") throws -> [String] {
        var found: [String] = []
        func list(_ tree: BlobID, _ path: String) throws {
            var cursor = try TreeCursor(tree, BlobReader(repository))
            while let entry = try cursor.next() {
                let name = path + String(decoding: entry.name, as: UTF8.self)
                found.append(name)
                if let subtree = entry.subtree { try list(subtree, name + "/") }
            }
        }
        try list(snapshot.root, "")
        return found.filter { $0.hasPrefix(prefix) }
    }

    func facts(_ outcome: SourceOutcome) throws -> ClusterFacts { try ClusterFacts(outcome.snapshot.facts, object: "snapshot") }

    var snapshotCount: Int { get throws { try SnapshotCatalog(repository).names().ids.count } }
}

/// One cluster with page checksums for the tests of backups; serialized suites share it.
enum BackedUpServer {
    nonisolated(unsafe) private static let shared: PostgresServer? = {
        let server = try? make()
        atexit { BackedUpServer.shared?.remove() }
        return server
    }()

    /// One that no other test changes; whoever asks for it removes it.
    static func make() throws -> PostgresServer {
        let server = try PostgresServer(
            initdb: ["--data-checksums", "--wal-segsize=1"],
            settings: [
                "wal_level = replica", "max_wal_senders = 6", "max_replication_slots = 6", "cluster_name = 'shop/main'", "autovacuum = off",
            ])
        do {
            try server.start()
            try server.sql("CREATE DATABASE shop")
            let place = server.folder + "/space"
            mkdir(place, 0o700)
            try PostgresServer.own(place)
            try server.sql("CREATE TABLESPACE fast LOCATION '\(place)'")
            try server.sql(
                """
                CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS text, g % 97 AS part FROM generate_series(1, 60000) g;
                CREATE INDEX ON orders (id);
                CREATE TABLE archived TABLESPACE fast AS SELECT * FROM orders;
                CREATE UNLOGGED TABLE sessions AS SELECT * FROM orders;
                CHECKPOINT
                """, database: "shop")
        } catch {
            server.remove()
            throw error
        }
        return server
    }

    static func server() throws -> PostgresServer { try #require(shared) }
}

extension PostgresServer {
    func dump() throws -> String {
        // The key of \\restrict is another one each time.
        try Self.run([Self.binaries + "/pg_dumpall", "-h", folder, "-U", "postgres"]).split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.hasPrefix("\\restrict") && !$0.hasPrefix("\\unrestrict") && !$0.hasPrefix("CREATE TABLESPACE") }
            .joined(separator: "\n")
    }

    /// Where a relation's file is, in the data directory.
    func path(of relation: String, database: String = "shop") throws -> String {
        try sql("SELECT pg_relation_filepath('\(relation)')", database: database)
    }
}
