import Glibc
import PostgresFormats
import RepoBase

/// What a recovery asks of this machine beside the files of its base backup, told by the log that it will replay.
struct ReplayDemands: Hashable {
    /// Settings that the log says the server had, where they are higher than when the base backup was taken.
    var settings: [String: UInt32] = [:]
    /// Folders in which replay makes tablespaces; empty or missing.
    var folders: [String] = []

    init() {}

    /// Throws `.timeNotRecoverable` where the log cannot be replayed at all, `.refused` where replay would delete what stands in a folder.
    init(_ hindrances: [WALHindrance], _ target: ClusterTarget, _ options: ClusterRestoreOptions, _ facts: ClusterFacts) throws(RepoError) {
        for hindrance in hindrances {
            switch hindrance {
            case .settings(let limits, let position):
                guard !limits.isMinimal else {
                    throw RepoError(
                        .timeNotRecoverable, "from \(position) on the server ran with wal_level = minimal, and PostgreSQL cannot replay over that",
                        advice: "Nothing was touched. Recover to a moment before, or from a base backup that was taken later.")
                }
                for (name, value) in limits.values {
                    guard let recorded = facts.settings[name].flatMap({ UInt32($0) }), value > max(recorded, settings[name] ?? 0) else { continue }
                    settings[name] = value
                }
            case .tablespace(let oid, let folder, let position):
                guard let folder else {
                    throw RepoError(
                        .refused, "the log makes a tablespace at \(position), in a folder that cannot be told; replay would delete what is in it",
                        advice: "Nothing was touched. Recover to a moment before, or from a base backup that was taken later.")
                }
                try add(folder, oid, position, target, options, facts)
            }
        }
    }

    /// Replay deletes what it finds there (`create_tablespace_directories`, commands/tablespace.c), be it another server's, and ends where the folder is missing.
    private mutating func add(
        _ path: String, _ oid: UInt32, _ position: LogSequenceNumber, _ target: ClusterTarget, _ options: ClusterRestoreOptions,
        _ facts: ClusterFacts
    ) throws(RepoError) {
        guard !folders.contains(path) else { return }
        let folder = try ClusterTarget.folder(path, "the folder of tablespace \(oid), which the log makes at \(position),")
        // One of the backup's own, which was dropped and made again.
        if target.tablespaces.contains(where: { $0.folder.path == folder.path }) { return }
        let isInPlace = facts.settings["data_directory"] == target.data.path && options.overwrite != nil && options.deletes
        guard folder.isEmpty || isInPlace && !options.makesSafetyCopy else {
            throw RepoError(
                .refused, "the log makes tablespace \(oid) in '\(path)' at \(position), and that folder is not empty: replay would delete what is in it",
                advice: "Nothing was touched. Recover on another machine, to a moment before that, or from a base backup that was taken later; "
                    + "move the folder aside only if no server uses it.")
        }
        if !folder.isThere { folders.append(folder.path) }
    }

    /// Makes the folders that are missing, for the server's user.
    func makeFolders(_ owner: FileOwner) throws(RepoError) {
        for path in folders {
            try ClusterRestore.makeParents(of: path)
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw TextFile.failure("make", path) }
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { throw TextFile.failure("open", path) }
            defer { close(descriptor) }
            guard owner.apply(to: descriptor) else { throw TextFile.failure("give to its owner", path) }
        }
    }
}
