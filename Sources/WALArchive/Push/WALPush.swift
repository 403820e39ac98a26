import PostgresFormats
import RepoBase

/// Archives what PostgreSQL hands over, as `archive_command` does: returns only when it is durable in the repository.
///
/// Where PostgreSQL has more segments ready (`archive_status/*.ready`), one call takes the whole queue in batches, in the order of the log,
/// and the calls for those find them there: they look into the repository, never at notes of this machine (adr/0011-pushing-a-queue.md).
public struct WALPush {
    public struct Options: Sendable {
        /// What the cluster must be; nil: whatever the file says.
        public var systemIdentifier: UInt64?
        /// Where the cluster is; nil: the directory above that of the file.
        public var dataDirectory: String?
        public var takesQueue = true
        /// Segments that one call takes beside its own.
        public var queueLimit = 63
        /// No further batch is begun after so many seconds: a server that shuts down waits for its archiver.
        public var queueSeconds = 10
        public var threads = availableProcessors()
        /// Takes a file although its check found damage.
        public var acceptsDamage = false

        public init() {}
    }

    public struct Outcome: Hashable, Sendable {
        public var file: String
        public var systemIdentifier: UInt64
        public var wasThere = false
        /// Segments of the queue that are archived now, too.
        public var queued: [String] = []
        /// What was put, in bytes.
        public var bytesStored = 0
        public var warnings: [String] = []
    }

    let archive: WALArchive
    let options: Options

    public init(_ archive: WALArchive, options: Options = Options()) {
        self.archive = archive
        self.options = options
    }

    /// Archives the file at `path`.
    ///
    /// Throws `.usage` for a name that is not of the log and where the cluster cannot be told, `.sourceFailed` when it cannot be read,
    /// `.damaged` when it is not what its name says, `.conflict` for another cluster than was named, and when the archive has that name with
    /// other content; and what the store throws.
    public func push(_ path: String) throws -> Outcome {
        let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
        guard let file = ArchivedFile(name: name) else {
            throw RepoError(
                .usage, "'\(name)' is not the name of a file of PostgreSQL's log",
                advice: "Use archive_command = 'repo wal push %p'.")
        }
        let inspected = try InspectedFile.read(file, path: path)
        let system = try system(of: inspected, path)
        var outcome = Outcome(file: name, systemIdentifier: system)
        outcome.warnings += try strangeness(of: system, file)
        do {
            try store(inspected, path, system, &outcome)
        } catch {
            guard let damage = inspected.damage else { throw error }
            guard options.acceptsDamage else { throw damage }
            outcome.warnings.append("\(damage.message); archived as it is")
            try store(WALFileSource([inspected.unverified]), inspected.segmentSize, system, &outcome)
        }
        return outcome
    }

    /// With the queue behind it. What the archive has with the same content was checked when it came there, and is not checked again.
    private func store(_ inspected: InspectedFile, _ path: String, _ system: UInt64, _ outcome: inout Outcome) throws {
        let queue = try QueuedSegments(own: inspected, path: path, system: system, archive: archive, options: options)
        if let queue, !queue.isEmpty {
            try store(queue, own: inspected, system, &outcome)
        } else {
            try store(alone: inspected, system, &outcome)
        }
    }

    /// Stores one file in an object of its own.
    func store(alone file: InspectedFile, _ system: UInt64, _ outcome: inout Outcome) throws {
        let source = WALFileSource(names: [file.file.name], lengths: [file.content.count], content: { _ in file.content }) { _ in
            try file.verified()
        }
        try store(source, file.segmentSize, system, &outcome)
    }

    func store(_ files: WALFileSource, _ size: WALSegmentSize?, _ system: UInt64, _ outcome: inout Outcome) throws {
        switch try archive.store(files, system: system, segmentSize: size, threads: options.threads) {
        case .new(let bytes): outcome.bytesStored += bytes
        case .alreadyThere: outcome.wasThere = outcome.wasThere || files.names.contains(outcome.file)
        }
    }

    private func system(of inspected: InspectedFile, _ path: String) throws -> UInt64 {
        let directory = options.dataDirectory ?? DataDirectory.holding(path)
        let found = try inspected.systemIdentifier ?? options.systemIdentifier ?? DataDirectory.systemIdentifier(directory)
        guard let system = found else {
            throw RepoError(
                .usage, "\(path) does not say which cluster it belongs to, and \(directory)/global/pg_control is not there",
                advice: "Run it in the data directory, as PostgreSQL does, or give --data-directory or --system-identifier.")
        }
        if let expected = options.systemIdentifier, expected != system {
            throw RepoError(
                .conflict, "\(path) belongs to the cluster with system identifier \(system), not \(expected): it was not archived",
                advice: "Correct archive_command, or archive another cluster's log elsewhere.")
        }
        return system
    }

    /// A warning when the repository sees this cluster for the first time, and has had others.
    private func strangeness(of system: UInt64, _ file: ArchivedFile) throws -> [String] {
        // Once in a while is enough, and the first segment of a cluster is never in a folder that has others.
        guard case .segment(let segment) = file, try archive.names(around: segment, system: system).isEmpty else { return [] }
        let systems = try archive.systems()
        guard !systems.isEmpty, !systems.contains(system) else { return [] }
        return [
            "this is the first of the log of a cluster with system identifier \(system); the repository has that of "
                + systems.map { "\($0)" }.joined(separator: ", ")
        ]
    }
}
