import Glibc
import PostgresClient
import PostgresFormats
import RepoBase
public import Repository

/// A snapshot of dumps: `globals.sql` with roles and tablespaces, and for each database `<name>.dump`, an uncompressed archive of pg_dump's custom
/// format, so that chunks of unchanged tables are found again. Each database is dumped as of one moment.
///
/// A program that fails leaves no snapshot.
public struct DumpSource {
    private let description: SourceDescription
    private let server: DumpedServer
    private let options: DumpOptions

    public init(_ description: SourceDescription, server: DumpedServer, options: DumpOptions) {
        self.description = description
        self.server = server
        self.options = options
    }

    public static let globalsName = "globals.sql"
    private static let suffix = ".dump"

    /// The file of a database; what a file name cannot have is written as in URLs.
    public static func fileName(ofDatabase name: String) -> String {
        name.replacingScalars { $0 == "%" ? "%25" : $0 == "/" ? "%2F" : nil } + suffix
    }

    /// Nil for other files.
    public static func database(ofFile name: String) -> String? {
        guard name.hasSuffix(suffix) else { return nil }
        var bytes: [UInt8] = []
        var rest = name.utf8.dropLast(suffix.utf8.count)
        // Byte by byte: what follows an escape may combine with it.
        while let byte = rest.popFirst() {
            let code = byte == UInt8(ascii: "%") ? rest.prefix(2) : rest.prefix(0)
            let plain: UInt8? = code.elementsEqual("2F".utf8) ? UInt8(ascii: "/") : code.elementsEqual("25".utf8) ? UInt8(ascii: "%") : nil
            if plain != nil { rest = rest.dropFirst(2) }
            bytes.append(plain ?? byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    public func run(_ repository: OpenRepository, onStart: (SnapshotWriter) -> Void = { _ in }) throws -> SourceOutcome {
        let databases = try server.chosen(options)
        let making = try ClusterSnapshot(description, in: repository)
        let started = making.started
        return try making.make(in: repository, onStart: onStart) { writer in
            var stream = DumpStream(writer, parent: making.parent?.snapshot.root)
            var problems: [SourceProblem] = []
            var facts = ClusterFacts(
                method: .logical, systemIdentifier: server.systemIdentifier, serverVersion: UInt32(server.version.number),
                startTime: started, stopTime: started)
            facts.settings = server.settings
            try stream.take(Self.globalsName, [server.tools.dumpAll] + globalsArguments, environment)
            if !server.readsPasswords {
                problems.append(
                    SourceProblem(
                        path: Array(Self.globalsName.utf8),
                        message: "\(Self.globalsName) has no passwords of roles: only a superuser may read them"))
            }
            for database in databases {
                guard database.allowsConnections else {
                    problems.append(
                        SourceProblem(
                            path: Array(Self.fileName(ofDatabase: database.name).utf8),
                            message: "database \(database.name) allows no connections and is not in the snapshot; exclude it if that is right"))
                    continue
                }
                facts.databases.append(try dump(database, &stream))
            }
            facts.stopTime = .now()
            writer.count { $0.errors = UInt64(problems.count) }
            try stream.finish(time: started)
            return try making.commit(writer, facts, time: started) { _ in problems }
        }
    }

    private func dump(_ database: DumpedServer.Database, _ stream: inout DumpStream) throws -> ClusterFacts.Database {
        let target = server.target.database(database.name)
        let name = Self.fileName(ofDatabase: database.name)
        let command = [server.tools.dump] + options.arguments + ["--dbname=\(target.argumentWithoutPassword)"]
        guard options.countsRows else {
            try stream.take(name, command, environment)
            return ClusterFacts.Database(name: database.name, bytes: database.bytes)
        }
        let counting = try RowCounting(target, server.tools, cancellation: server.cancellation)
        let listing = try counting.beginListing()
        do {
            try stream.take(name, command + ["--snapshot=\(counting.snapshot)"], environment, alsoTo: listing)
        } catch {
            listing.kill()
            throw error
        }
        return ClusterFacts.Database(name: database.name, bytes: database.bytes, rowCounts: try counting.count(listing.finish()))
    }

    private var globalsArguments: [String] {
        ["--globals-only", "--no-password", "--dbname=\(server.target.argumentWithoutPassword)"]
            + (server.readsPasswords ? [] : ["--no-role-passwords"])
    }

    /// A password of the connection string goes where other users of the machine do not see it.
    private var environment: [String: String] {
        var words = ["PGAPPNAME": "repo", "PGCONNECT_TIMEOUT": getenv("PGCONNECT_TIMEOUT").map { String(cString: $0) } ?? "30"]
        if let password = server.target.password { words["PGPASSWORD"] = password }
        return words
    }
}
