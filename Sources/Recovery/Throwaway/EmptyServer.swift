import Glibc
import PostgresClient
import PostgresFormats
import RepoBase

/// A server of our own that begins empty, to load dumps into: as undisturbing as `ThrowawayServer`, and gone afterwards.
///
/// To be used by one thread, which has to live as long as the server is wanted.
final class EmptyServer {
    let programs: ServerPrograms
    private let initdb: String
    private let scratch: String
    private let owner: FileOwner
    private let work: ExtractWork
    /// Its superuser, with a name that no dump has: roles of the dumps may lock out those that are there.
    private let user = "repo_drill_" + String(UInt64.random(in: 0 ... .max), radix: 36)
    private(set) var notes: [String] = []
    private var folder: ThrowawayFolder?
    private var socket: (path: String, own: ThrowawayFolder?)?
    private var process: ServerProcess?

    /// Who runs servers where root asks for one.
    private static let account = "postgres"

    /// Looks for programs and room, and removes what killed runs have left.
    ///
    /// - Parameters:
    ///   - folder: where the programs are; nil: looked for.
    ///   - bytes: that it will hold.
    /// Throws `.usage` where something is missing, `.storeFull`.
    init(major: Int, programs folder: String?, scratch: String, bytes: UInt64, work: ExtractWork) throws(RepoError) {
        (self.scratch, self.work) = (scratch, work)
        programs = try ServerPrograms(major: major, folder: folder, isOptional: false)
        initdb = try programs.path(of: "initdb", package: "postgresql-\(major)")
        _ = try programs.path(of: "postgres", package: "postgresql-\(major)")
        if geteuid() == 0 {
            guard let entry = getpwnam(Self.account), entry.pointee.pw_uid != 0 else {
                throw RepoError(
                    .usage, "PostgreSQL does not run as root, and this machine has no user '\(Self.account)'",
                    advice: "Run this as another user, who can read the repository's key.")
            }
            owner = FileOwner(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
        } else {
            owner = .own
        }
        try ThrowawayFolder.requirePlace(scratch)
        for place in Set([scratch, ThrowawaySocket.scratch]).sorted() {
            for path in try ThrowawayFolder.removeLeftovers(in: place) { notes.append("removed what a killed run had left: \(path)") }
        }
        try ThrowawayFolder.requireRoom(scratch, bytes, "what the dumps hold")
    }

    /// Makes the cluster and starts it. `remove` is to be called afterwards, whatever comes of it. Throws `.failed` with the server's own words.
    ///
    /// - Parameter libraries: `shared_preload_libraries` of the server that was dumped; those that are not here are left out, with a note.
    func start(libraries: String) throws {
        let folder = try ThrowawayFolder(in: scratch)
        self.folder = folder
        let data = "\(folder.path)/\(ThrowawayServer.dataName)"
        guard mkdir(data, 0o700) == 0, geteuid() != 0 || lchown(data, owner.user, owner.group) == 0 else { throw TextFile.failure("make", data) }
        let made = try ChildRun.run(
            [initdb, "-D", data, "-U", user, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"], as: owner)
        guard made.status == 0 else { throw RepoError(.failed, "initdb could not make a cluster in '\(data)':\n\(made.output)") }
        let socket = try ThrowawaySocket.make(in: folder, owner: owner)
        self.socket = socket
        let known = ThrowawaySettings.libraries(libraries, programs)
        for name in known.missing { notes.append("the old server loaded the library \(name), which is not installed here: it was left out") }
        let settings = ThrowawaySettings(
            folder: folder.path, socketFolder: socket.path, bufferBytes: 128 << 20, isDurable: true, isHotStandby: false, minimums: [:],
            trackCommitTimestamp: false, libraries: known.found, timeZone: nil)
        try ThrowawaySettings.writeFiles(folder.path, owner: owner)
        let process = ServerProcess(programs.server, data: data, log: "\(folder.path)/server.log", owner: owner)
        self.process = process
        // Tablespaces are made inside of the cluster, and not in the places that they had (PostgreSQL 15, 20.17; in minor releases of 13 and 14).
        try process.start(settings.arguments + ["-c", "allow_in_place_tablespaces=on"])
        while true {
            try work.check()
            if process.hasEnded {
                let tail = (TextFile.read(process.log) ?? "").split(separator: "\n").suffix(8).joined(separator: "\n")
                throw RepoError(.failed, "the throwaway server did not start:\n\(tail)")
            }
            do {
                _ = try PostgresConnection(target("template1"), cancellation: work.cancellation)
                return
            } catch {
                if error.code == .interrupted { throw error }
                usleep(50_000)
            }
        }
    }

    /// Only after `start`.
    func target(_ database: String) throws(RepoError) -> ConnectionTarget {
        guard let socket else { throw RepoError(.failed, "the throwaway server was not started") }
        return try ThrowawaySocket.target(socket.path, user: user, database)
    }

    /// Ends it at once and removes everything. Harmless when repeated. Throws `.failed` for what could not be removed.
    func remove() throws(RepoError) {
        process?.end()
        try? socket?.own?.remove()
        try folder?.remove()
    }
}
