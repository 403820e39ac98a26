import Glibc
import RepoBase

/// Looks through what is to be restored before anything is touched: how much it is, and whether it will fit.
struct RestoreSurvey {
    let reader: BlobReader
    let options: RestoreOptions
    let target: RestoreTarget
    let directories: TargetDirectories?
    let progress: Monitor<RestoreProgress>

    private struct HardLink: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// Throws `.failed` as soon as the bytes to be written are more than the target has room for, and where something that was asked for is not
    /// there. Holes need none, and what stands in the target already
    /// is counted as room for its successor. Damage is left to the restore itself, which names it.
    func check(_ root: BlobID) throws {
        let available = options.isDryRun ? nil : target.available
        var needed: UInt64 = 0
        var seen: Set<HardLink> = []
        var isWhole = true
        // For each directory on the way down: the one of the target, where there is one.
        var levels: [TargetDirectory?] = [target.isEmpty ? nil : TargetDirectory([], in: nil)]
        try TreeListing(reader).walk(
            root, onProblem: { _, _ in isWhole = false }, leave: { _, _ in levels.removeLast() },
            visit: { path, entry in
                let decision = options.selection(path, entry.subtree != nil)
                guard decision != .skip else { return .skip }
                if entry.subtree != nil {
                    levels.append(existingDirectory(entry.name, in: levels[levels.count - 1]))
                    return .descend
                }
                guard decision == .restore, let content = entry.content else { return .skip }
                let metadata = entry.metadata
                if metadata.linkCount > 1,
                    !seen.insert(HardLink(device: metadata.device, inode: metadata.inode)).inserted
                {
                    return .skip
                }
                progress.withLock { progress in
                    progress.filesTotal += 1
                    progress.bytesTotal &+= metadata.size
                }
                guard let available else { return .skip }
                let present = levels[levels.count - 1].map { existingBytes(entry.name, in: $0) } ?? 0
                // A file takes whole blocks.
                needed += (try dataBytes(content, size: metadata.size) + 4095) & ~4095
                needed -= min(needed, present)
                guard needed <= available else { throw tooSmall(needed, available) }
                return .skip
            })
        // What is damaged may have held it.
        if isWhole, let name = options.unmet().first {
            throw RepoError(
                .failed, "nothing in the snapshot matches \(name)",
                advice: "Nothing was touched. 'repo ls' and 'repo find' show what it holds.")
        }
    }

    /// Without holes. For a small file its size will do; a list that does not read counts nothing, as nothing will be written.
    private func dataBytes(_ content: Content, size: UInt64) throws -> UInt64 {
        guard case .list = content else { return content == .empty ? 0 : size }
        var bytes: UInt64 = 0
        do {
            try ContentWalk.entries(of: content, size: size, reader) { entry, _ in
                if entry.id != nil { bytes += entry.length }
                return true
            }
        } catch let error as RepoError where error.code == .damaged {
            return 0
        }
        return min(bytes, UInt64(Int64.max))
    }

    private func existingDirectory(_ name: [UInt8], in parent: TargetDirectory?) -> TargetDirectory? {
        guard let parent, let status = status(name, in: parent), status.isDirectory else { return nil }
        return TargetDirectory(name, in: parent)
    }

    private func existingBytes(_ name: [UInt8], in parent: TargetDirectory) -> UInt64 {
        guard let status = status(name, in: parent), status.isRegularFile else { return 0 }
        return UInt64(status.st_blocks) * 512
    }

    private func status(_ name: [UInt8], in parent: TargetDirectory) -> stat? {
        guard let handle = try? directories?.handle(of: parent) else { return nil }
        return (try? TargetCalls.status(name, in: handle.descriptor)) ?? nil
    }

    private func tooSmall(_ needed: UInt64, _ available: UInt64) -> RepoError {
        RepoError(
            .failed,
            "the target '\(PathText.describe(target.path))' has room for \(ByteCount.describe(available)), and the restore needs more "
                + "(\(ByteCount.describe(needed)) or above)",
            advice: "Nothing was touched. Make room, name another target, or choose with '--include' and '--exclude'.")
    }
}
