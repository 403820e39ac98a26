import PostgresFormats
import RepoBase
import Repository

/// Brings a file of the log back, as `restore_command` does: whole and under its name, or not at all.
public struct WALGet {
    public struct Options: Sendable {
        /// Which cluster; nil: that of the data directory, or the only one of the repository.
        public var systemIdentifier: UInt64?
        /// Where the cluster is; nil: the directory above that of the destination.
        public var dataDirectory: String?

        public init() {}
    }

    public enum Outcome: Hashable, Sendable {
        case delivered
        /// As much of a segment as there is where the whole is not: what had been received, or what a promotion left.
        case deliveredPart
        /// The archive does not have it. `isGap`: it has segments before and behind it.
        case absent(isGap: Bool)
    }

    let archive: WALArchive
    let options: Options

    public init(_ archive: WALArchive, options: Options = Options()) {
        self.archive = archive
        self.options = options
    }

    /// Delivers the file as `destination`, which is replaced.
    ///
    /// `.absent` only after the store has said so. Throws `.usage` for what is no name of the log and where the cluster cannot be told,
    /// `.damaged` when every copy is damaged, `.wrongKey` for a writer key, `.sourceFailed` when the destination cannot be written.
    public func get(_ name: String, to destination: String) throws -> Outcome {
        guard let file = ArchivedFile(name: name) else {
            throw RepoError(
                .usage, "'\(name)' is not the name of a file of PostgreSQL's log",
                advice: "Use restore_command = 'repo wal get %f %p'.")
        }
        guard archive.repository.keys.role == .full else {
            throw RepoError(.wrongKey, "a writer key can archive the log and not read it", advice: "Use a full key.")
        }
        guard let system = try system(for: destination) else { return .absent(isGap: false) }
        if let content = try archive.content(of: file, system: system) {
            try LocalContent.publish(content, at: destination)
            return .delivered
        }
        guard case .segment(let segment) = file else { return .absent(isGap: false) }
        if let content = try archive.partialContent(of: segment, system: system) {
            try LocalContent.publish(content, at: destination)
            return .deliveredPart
        }
        try requireNothingHidden(segment, system)
        return .absent(isGap: try archive.names(around: segment, system: system).surrounds(segment))
    }

    /// A server that is told that a segment is absent ends its recovery there. Throws `.damaged` where this machine has seen log as late as that, and
    /// the store shows none any more.
    private func requireNothingHidden(_ segment: String, _ system: UInt64) throws {
        guard let watch = archive.repository.freshness, watch.clusters.contains(system) else { return }
        _ = try archive.inventory(of: system)
        let folder = WALObjectName.folder(systemIdentifier: system, timeline: UInt32(segment.prefix(8), radix: 16) ?? 0)
        for finding in watch.findings where finding.object.hasPrefix(folder) && finding.object.suffix(24) >= segment {
            throw RepoError(.damaged, "\(segment) is not in the archive, which this machine has seen as far as \(finding.object)", advice: FreshnessFinding.advice)
        }
    }

    /// The cluster that the options or the data directory tell, without asking the repository.
    public static func system(for destination: String, _ options: Options) throws -> UInt64? {
        if let system = options.systemIdentifier { return system }
        return try DataDirectory.systemIdentifier(options.dataDirectory ?? DataDirectory.holding(destination))
    }

    /// Nil when the repository has no log at all.
    private func system(for destination: String) throws -> UInt64? {
        if let system = try Self.system(for: destination, options) { return system }
        let directory = options.dataDirectory ?? DataDirectory.holding(destination)
        let systems = try archive.systems()
        guard systems.count < 2 else {
            throw RepoError(
                .usage, "the repository has the log of \(systems.count) clusters, and \(directory)/global/pg_control is not there to tell which",
                advice: "Run it in the data directory, as PostgreSQL does, or give --data-directory or --system-identifier.")
        }
        return systems.first
    }
}
