import CLinux
import Glibc
import PostgresFormats
public import RepoBase
public import Repository

/// Brings a planned moment back into a data directory, ready to be started.
///
/// Everything that can be known is looked at before anything is touched: the target, the snapshot's blobs, and every segment that replay will
/// read. `pg_control`, without which no server starts, is taken away first and put back last, so that what a broken restore leaves cannot be
/// started by mistake.
public final class ClusterRestore: Sendable {
    private let repository: OpenRepository
    private let plan: RecoveryPlan
    private let root: BlobID
    private let options: ClusterRestoreOptions
    private let restorers = Monitor<[Restorer]>([])
    private let checkSeconds = Monitor(0.0)
    private let demands = Monitor(ReplayDemands())
    private let logProgress = Monitor<(done: Int, total: Int)>((0, 0))

    /// - Parameter root: the tree of the plan's snapshot.
    public init(_ repository: OpenRepository, _ plan: RecoveryPlan, root: BlobID, options: ClusterRestoreOptions) {
        self.repository = repository
        self.plan = plan
        self.root = root
        self.options = options
    }

    /// May be asked by any thread while it runs.
    public var progress: RestoreProgress {
        var sum = RestoreProgress()
        for progress in restorers.withLock({ $0.map(\.progress) }) {
            sum.isWriting = sum.isWriting || progress.isWriting
            sum.filesTotal += progress.filesTotal
            sum.bytesTotal += progress.bytesTotal
            sum.filesDone += progress.filesDone
            sum.filesUnchanged += progress.filesUnchanged
            sum.bytesDone += progress.bytesDone
            sum.bytesWritten += progress.bytesWritten
            sum.deleted += progress.deleted
            sum.problems += progress.problems
        }
        return sum
    }

    /// Segments read before anything is touched, of how many.
    public var logChecked: (done: Int, total: Int) { logProgress.withLock { $0 } }

    /// Whether the target can be used, looked at alone. Throws `.refused`, `.usage` or `.failed`.
    public func checkTarget() throws { _ = try ClusterTarget(options, plan.backup.facts) }

    /// Looks at everything, and touches nothing. Throws `.refused`, `.usage` or `.failed` for the target, `.damaged` for the repository.
    ///
    /// - Parameter log: the plan's log; nil where the segments are not to be read.
    public func check(_ log: ArchiveLog?) throws {
        let clock = ContinuousClock()
        let started = clock.now
        defer { checkSeconds.withLock { $0 = (clock.now - started) / .seconds(1) } }
        let target = try ClusterTarget(options, plan.backup.facts)
        var dry = RestoreOptions()
        dry.isDryRun = true
        dry.overwrite = .always
        // Into nothing: all that a dry run does then is to look every blob up.
        let survey = Restorer(repository, root: root, target: Array("/nonexistent/\(plan.backup.id)".utf8), options: dry)
        let result = try survey.run { [options] _, _ in try options.check() }
        if let problem = result.problems.first {
            let more = result.problems.count > 1 ? ", and \(result.problems.count - 1) other problems" : ""
            throw RepoError(
                .damaged, "base backup \(plan.backup.id.short) is damaged: \(String(decoding: problem.path, as: UTF8.self)): \(problem.message)\(more)",
                advice: "Nothing was touched. An older base backup may reach the same moment: name it, as in 'repo restore SNAP --at …'.")
        }
        guard let log, options.verifiesLog else { return }
        let met = try NeededLogCheck(log).run(plan) { [logProgress, options] done, total in
            logProgress.withLock { $0 = (done, total) }
            try options.check()
        }
        let found = try ReplayDemands(met, target, options, plan.backup.facts)
        demands.withLock { $0 = found }
    }

    /// Restores. `check` comes first; it is called here where the caller has not.
    ///
    /// - Parameter now: what names safety copies.
    public func run(_ log: ArchiveLog?, isChecked: Bool = false, now: FileTime) throws -> ClusterRestoreResult {
        if !isChecked { try check(log) }
        let target = try ClusterTarget(options, plan.backup.facts)
        var result = ClusterRestoreResult(data: target.data.path)
        result.checkSeconds = checkSeconds.withLock { $0 }
        let clock = ContinuousClock()
        let begun = clock.now
        if options.makesSafetyCopy {
            var copy = SafetyCopy()
            try copy.make(of: target, suffix: "before-restore-\(Self.compact(now))")
            result.safetyCopies = copy.moved
        }
        for path in [target.data.path] + target.tablespaces.map(\.folder.path) { try Self.makeParents(of: path) }
        try restoreFiles(target, &result)
        try configure(target, result)
        try sync(target)
        result.restoreSeconds = (clock.now - begun) / .seconds(1)
        return result
    }

    // MARK: - Files

    private static let control = Array("/global/pg_control".utf8)

    /// Neither restored nor left standing.
    private static let unwanted = [
        // The links are made here, and a map would lead them back to where the tablespaces were (read_tablespace_map, access/transam/xlogrecovery.c).
        "tablespace_map",
        // A backup of a standby holds the one, one of a restored cluster perhaps the other; with the first, the server would be a standby.
        "standby.signal", "recovery.signal",
        "postmaster.pid", "postmaster.opts",
    ]

    private func restoreFiles(_ target: ClusterTarget, _ result: inout ClusterRestoreResult) throws {
        let reader = BlobReader(repository)
        let control = target.data.path + "/global/pg_control"
        var isTouched = false
        func withoutControl() throws {
            if isTouched { return }
            isTouched = true
            guard unlink(control) == 0 || errno == ENOENT || errno == ENOTDIR else { throw TextFile.failure("remove", control) }
        }
        // Tablespaces first: when there is no room for one, the data directory is as it was.
        for tablespace in target.tablespaces {
            let path = Array("pg_tblspc/\(tablespace.oid)".utf8)
            guard let tree = try SnapshotPath.find(root, path, reader).tree else {
                throw RepoError.damaged("base backup \(plan.backup.id.short)", "pg_tblspc/\(tablespace.oid) is not a directory")
            }
            let prefix = "/PG_\(plan.backup.facts.serverVersion / 10_000)_"
            // Other versions may have files in the same place, as pg_upgrade leaves them.
            try restore(tree, tablespace.folder.path, &result, onAction: withoutControl) { path, _ in
                path.starts(with: Array(prefix.utf8)) ? .restore : .skip
            }
            result.tablespaces[tablespace.oid] = tablespace.folder.path
        }
        let skipped = Set(Self.unwanted.map { Array("/\($0)".utf8) })
        let spaces = target.tablespaces.map { Array("/pg_tblspc/\($0.oid)".utf8) }
        try restore(root, target.data.path, &result, onAction: withoutControl) { path, _ in
            path == Self.control || skipped.contains(path) || spaces.contains(path) ? .skip : .restore
        }
        try withoutControl()
        try requireWhole(result)
        try finish(target)
        try restore(root, target.data.path, &result, onAction: {}) { path, isDirectory in
            path == Self.control ? .restore : isDirectory && path == Array("/global".utf8) ? .descend : .skip
        }
        try requireWhole(result)
    }

    private func restore(
        _ tree: BlobID, _ path: String, _ result: inout ClusterRestoreResult, onAction: () throws -> Void,
        selection: @escaping @Sendable ([UInt8], Bool) -> RestoreDecision
    ) throws {
        var settings = RestoreOptions()
        settings.overwrite = options.overwrite ?? .always
        settings.deletes = options.deletes
        settings.verifies = options.verifies
        // Once, when everything is there.
        settings.synchronises = false
        settings.selection = selection
        let restorer = Restorer(repository, root: tree, target: Array(path.utf8), options: settings)
        restorers.withLock { $0.append(restorer) }
        let done = try restorer.run { [options] _, _ in
            try options.check()
            try onAction()
        }
        result.files += done.counts.filesDone
        result.filesUnchanged += done.counts.filesUnchanged
        result.deleted += done.counts.deleted
        result.bytes += done.counts.bytesDone
        result.bytesWritten += done.counts.bytesWritten
        result.problems += done.problems
        result.ownersLeft += done.ownersLeft
    }

    /// A cluster without one of its files is not to be started: it keeps no `pg_control`.
    private func requireWhole(_ result: ClusterRestoreResult) throws {
        guard let problem = result.problems.first(where: { $0.kind != .metadata }) else { return }
        let path = String(decoding: problem.path, as: UTF8.self)
        throw RepoError(
            problem.kind == .damage ? .damaged : .failed, "\(path): \(problem.message)",
            advice: "'\(options.target)' is incomplete and cannot be started: it has no global/pg_control. Mend that, and restore again.")
    }

    /// As `mkdir -p`, so that the server's user can pass through.
    static func makeParents(of path: String) throws(RepoError) {
        var part = ""
        for name in path.split(separator: "/").dropLast() {
            part += "/\(name)"
            guard mkdir(part, 0o755) == 0 || errno == EEXIST || errno == EROFS || errno == EACCES else { throw TextFile.failure("make", part) }
        }
    }

    /// Links of tablespaces, and what a server insists on: its directory belongs to it alone.
    private func finish(_ target: ClusterTarget) throws {
        for name in Self.unwanted {
            let path = "\(target.data.path)/\(name)"
            guard unlink(path) == 0 || errno == ENOENT else { throw TextFile.failure("remove", path) }
        }
        let owner = try FileOwner(of: target.data.path + "/PG_VERSION")
        // The directory of databases has the mode that initdb gave all of them: 0700, or 0750 with group access.
        var status = stat()
        let mode = stat(target.data.path + "/base", &status) == 0 && status.st_mode & 0o077 == 0o050 ? mode_t(0o750) : 0o700
        for path in [target.data.path] + target.tablespaces.map(\.folder.path) {
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { throw TextFile.failure("open", path) }
            defer { close(descriptor) }
            guard owner.apply(to: descriptor), fchmod(descriptor, mode) == 0 else { throw TextFile.failure("give to its owner", path) }
        }
        for tablespace in target.tablespaces {
            let link = "\(target.data.path)/pg_tblspc/\(tablespace.oid)"
            guard unlink(link) == 0 || errno == ENOENT, symlink(tablespace.folder.path, link) == 0, owner.apply(toLink: link) else {
                throw TextFile.failure("make the link", link)
            }
        }
    }

    // MARK: - Settings

    private func configure(_ target: ClusterTarget, _ result: ClusterRestoreResult) throws {
        let demands = demands.withLock { $0 }
        var settings = RecoverySettings(
            restoreCommand: options.restoreCommand, stop: plan.stop, timeline: plan.lacksHistory ? nil : plan.timeline, action: options.action,
            keepsArchiving: options.keepsArchiving)
        settings.limits = demands.settings
        let owner = try FileOwner(of: target.data.path + "/PG_VERSION")
        try demands.makeFolders(owner)
        let file = target.data.path + "/postgresql.auto.conf"
        try TextFile.write(file, settings.applied(to: TextFile.read(file) ?? ""), owner: owner)
        try TextFile.write(target.data.path + "/recovery.signal", "", owner: owner)
    }

    /// Everything is on the disk before anybody is told that it is there (syncfs(2), which says since Linux 5.8 what could not be written).
    private func sync(_ target: ClusterTarget) throws(RepoError) {
        for path in [target.data.path] + target.tablespaces.map(\.folder.path) {
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            defer { if descriptor >= 0 { close(descriptor) } }
            guard descriptor >= 0, linux_syncfs(descriptor) == 0 else {
                throw RepoError(
                    .failed, "cannot bring \(path) to the disk: \(String(cString: strerror(errno)))",
                    advice: "Do not start what was restored. Look at the kernel's log, and restore once more, onto another disk if this one fails.")
            }
        }
    }

    /// `20261103T023000Z`.
    private static func compact(_ time: FileTime) -> String {
        Refusal.text(FileTime(seconds: time.seconds, nanoseconds: 0)).filter { $0 != "-" && $0 != ":" }
    }
}
