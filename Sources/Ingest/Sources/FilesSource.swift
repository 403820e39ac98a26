import Glibc
public import RepoBase
public import Repository

/// A snapshot of files and directories with all their metadata.
public struct FilesSource: Sendable {
    private let description: SourceDescription
    private let paths: [[UInt8]]
    private let walk: WalkOptions

    /// - Parameter paths: at least one; taken with everything below it, and shown in the snapshot under its absolute path.
    public init(
        _ description: SourceDescription, paths: [[UInt8]], walk: WalkOptions = WalkOptions()
    ) throws(RepoError) {
        guard !paths.isEmpty else {
            throw RepoError(.usage, "no path was given", advice: "Name at least one file or directory.")
        }
        self.description = description
        self.paths = paths
        self.walk = walk
    }

    /// What cannot be read is counted and named, and the rest is taken: of the given paths, too. Where none of them is there, nothing is stored.
    public func run(
        _ repository: OpenRepository, onStart: (SnapshotWriter) -> Void = { _ in }
    ) throws -> SourceOutcome {
        let roots = try RootPaths(paths)
        let started = FileTime.now()
        let now = description.time ?? started
        let parent = try SnapshotCatalog(repository).latest(source: description.name, host: description.host)
        let writer = try SnapshotWriter(repository, options: description.options, following: parent?.snapshot)
        onStart(writer)
        let feed = FilesFeed(writer)
        do {
            var visitor = try FilesVisitor(writer, feed, roots: roots, parent: parent?.snapshot)
            let walker = TreeWalker(options: walk, accounts: visitor.accounts)
            for root in roots.paths {
                try visitor.begin(root)
                _ = try walker.walk([root.path], visitor: &visitor)
            }
            for problem in roots.problems { try feed.push(.problem(problem)) }
            try visitor.finish()
            try feed.finish()
            let problems = feed.problems
            let result = try writer.commit { root, statistics in
                var snapshot = Snapshot(
                    describing: description, kind: "files", time: now, root: root, statistics: statistics,
                    parent: parent?.id)
                snapshot.paths = roots.paths.map(\.path)
                snapshot.problems = problems.prefix(1000).map { .init(path: $0.path, message: $0.message) }
                snapshot.started = started
                return snapshot
            }
            return SourceOutcome(id: result.id, snapshot: result.snapshot, problems: problems)
        } catch {
            // In this order: the feed may be waiting for the snapshot.
            writer.abandon()
            feed.stop()
            throw error
        }
    }
}

/// The paths of a source that are there, as absolute components, sorted, none within another: the shape of the snapshot's upper tree.
struct RootPaths {
    struct Root {
        let path: [UInt8]
        let components: [[UInt8]]
    }

    let paths: [Root]
    /// Those that are not there, or cannot be looked at.
    let problems: [SourceProblem]

    /// Throws `.sourceFailed` where none is there.
    init(_ given: [[UInt8]]) throws(RepoError) {
        let directory = RootLocation.workingDirectory()
        var roots: [Root] = []
        var problems: [SourceProblem] = []
        for path in given {
            let absolute = RawPath.absolute(path, relativeTo: directory)
            var status = stat()
            let found = absolute.withCString { Int(lstat($0, &status)) }
            guard found == 0 else {
                let why = "\(RawPath.describe(absolute)) cannot be read: \(String(cString: strerror(errno)))"
                problems.append(SourceProblem(path: absolute, message: why))
                continue
            }
            roots.append(Root(path: absolute, components: RawPath.components(absolute).map(Array.init)))
        }
        if roots.isEmpty, let problem = problems.first {
            throw RepoError(.sourceFailed, problem.message, advice: "Correct the path; no snapshot was made.")
        }
        self.problems = problems
        roots.sort { $0.components.lexicographicallyPrecedes($1.components, by: isBefore) }
        var kept: [Root] = []
        for root in roots where kept.last.map({ !root.components.starts(with: $0.components) }) ?? true {
            kept.append(root)
        }
        paths = kept
    }
}
