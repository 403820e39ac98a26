import RepoBase

@testable import Ingest

/// Writes down what a walk tells: `+dir`, `file`, `-dir`, and problems apart.
struct RecordingVisitor: TreeVisitor {
    var events: [String] = []
    var entries: [WalkedEntry] = []
    var problems: [FileSystemError] = []
    var incomplete: [String] = []
    /// Cut off from the start of paths.
    var root: [UInt8] = []
    var onVisit: ((WalkedEntry) -> Void)?

    func shown(_ path: [UInt8]) -> String {
        RawPath.describe(path.starts(with: root) ? path.dropFirst(root.count + 1) : path[...])
    }

    mutating func enterDirectory(_ entry: WalkedEntry) {
        events.append("+" + shown(entry.path))
        entries.append(entry)
        onVisit?(entry)
    }

    mutating func visit(_ entry: WalkedEntry) {
        events.append(shown(entry.path))
        entries.append(entry)
        onVisit?(entry)
    }

    mutating func leaveDirectory(path: [UInt8], isComplete: Bool) {
        events.append("-" + shown(path))
        if !isComplete { incomplete.append(shown(path)) }
    }

    mutating func problem(_ error: FileSystemError) { problems.append(error) }
}

extension TemporaryDirectory {
    func walk(
        _ change: (inout WalkOptions) -> Void = { _ in }, calls: FileSystemCalls = .kernel,
        onVisit: ((WalkedEntry) -> Void)? = nil
    ) -> (visitor: RecordingVisitor, statistics: WalkStatistics) {
        var options = WalkOptions()
        change(&options)
        var visitor = RecordingVisitor()
        visitor.root = path
        visitor.onVisit = onVisit
        let statistics = TreeWalker(options: options, calls: calls).walk([path], visitor: &visitor)
        return (visitor, statistics)
    }
}
