@testable import BlobEngine
import Glibc
import RepoBase
@testable import Repository
import Storage

extension FuzzTarget {
    /// Whole operations on a repository of forged objects: opened, checked, restored, copied, added to, pruned, repaired.
    ///
    /// What must hold besides: nothing is written outside a restore's target; what a check of all data finds clean restores without damage, and still does in
    /// a copy, beside another snapshot, and after a prune; what was repaired does; and what restored without damage before a repair of packs or snapshots does after it.
    func repository(_ bytes: [UInt8]) {
        let operations = bytes.first ?? 0
        let edits = ForgedEdits(bytes.dropFirst(), blobs: Self.forged.blobCount)
        let work = FuzzFolder.shared
        defer { work.empty() }
        guard let (store, keys) = try? Self.forged.store(edits) else { preconditionFailure("a repository could not be forged") }
        func open() -> OpenRepository? { try? OpenRepository(store: store, keys: keys, cacheDirectory: work.path + "/cache") }
        guard let repository = open() else { return }
        let isClean = isClean(repository)
        precondition(!edits.isEmpty || isClean, "what nobody changed is damaged")
        let isWhole = restore(work, open(), isWhole: isClean)
        if operations & 16 != 0 { copy(repository, to: Self.other, isClean: isClean, work) }
        if operations & 32 != 0 { copy(repository, to: Self.forged, isClean: isClean, work) }
        if operations & 64 != 0 {
            let isTaken = (try? ForgedSnapshot(repository: repository).take()) != nil
            precondition(!isClean || isTaken, "no snapshot can be taken after a clean one")
            if isClean { requireClean(open(), work) }
        }
        if operations & 4 != 0 {
            var options = CollectionOptions()
            (options.maximumUnused, options.minimumAge, options.fenceAfter) = (0, 0, 0)
            _ = try? Collector(repository, options: options).run()
            if isClean { requireClean(open(), work) }
        }
        guard !isClean, operations & 11 != 0 else { return }
        if operations & 8 != 0 { _ = try? PackRepair(repository, threads: 1).run() }
        if operations & 1 != 0 { _ = try? IndexRepair(repository, threads: 1).run() }
        if operations & 2 != 0, let repaired = try? SnapshotRepair(repository).run(verifiesData: true) {
            for id in repaired.compactMap(\.new) {
                guard let entry = try? SnapshotCatalog(repository).read(id) else { preconditionFailure("a repaired snapshot does not read") }
                _ = restore(entry.snapshot.root, work, repository, isWhole: true)
            }
        }
        // A snapshot that was taken after a damaged one was not restored before.
        if isWhole, operations & 69 == 0 { _ = restore(work, open(), isWhole: true) }
    }

    /// To an empty one, with the same keys or others.
    private func copy(_ source: OpenRepository, to other: ForgedRepository, isClean: Bool, _ work: FuzzFolder) {
        guard let (store, keys) = try? other.empty(), let destination = try? OpenRepository(store: store, keys: keys, cacheDirectory: work.path + "/cache/copy"),
            let entries = try? SnapshotCatalog(source).all(onProblem: { _, _ in })
        else { return precondition(!isClean, "what is clean has nothing to copy") }
        let outcome = try? RepositoryCopy(from: source, to: destination).run(entries)
        guard isClean else { return }
        precondition(outcome?.copied.count == entries.count && outcome?.failures.isEmpty == true, "what is clean was not copied: \(String(describing: outcome?.failures))")
        precondition(self.isClean(destination), "the copy of what is clean is not")
        for (_, id) in outcome?.copied ?? [] {
            guard let entry = try? SnapshotCatalog(destination).read(id) else { preconditionFailure("a copied snapshot does not read") }
            _ = restore(entry.snapshot.root, work, destination, isWhole: true)
        }
    }

    private func requireClean(_ repository: OpenRepository?, _ work: FuzzFolder) {
        guard let repository else { preconditionFailure("what was clean does not open any more") }
        precondition(isClean(repository), "what was clean is not any more")
        _ = restore(work, repository, isWhole: true)
    }

    private func isClean(_ repository: OpenRepository) -> Bool {
        var options = RepositoryCheck.Options()
        (options.data, options.threads, options.endorsesPacks) = (.all, 1, false)
        return (try? RepositoryCheck(repository, options: options).run())?.isClean == true
    }

    /// Restores everything. True where there is something, and nothing of it was damaged.
    private func restore(_ work: FuzzFolder, _ repository: OpenRepository?, isWhole: Bool) -> Bool {
        guard let repository else { return false }
        repository.acceptPartialIndex()
        guard let entries = try? SnapshotCatalog(repository).all(onProblem: { _, _ in precondition(!isWhole, "a snapshot does not read that a check found clean") })
        else { return false }
        return entries.map { restore($0.snapshot.root, work, repository, isWhole: isWhole) }.contains(true)
    }

    private func restore(_ root: BlobID, _ work: FuzzFolder, _ repository: OpenRepository, isWhole: Bool) -> Bool {
        var options = RestoreOptions()
        (options.threads, options.overwrite) = (1, .always)
        var isUndamaged = false
        do {
            let result = try Restorer(repository, root: root, target: Array("\(work.path)/restored/target".utf8), options: options).run()
            precondition(!isWhole || !result.hasDamage, "damage in what is clean: \(result.problems.filter { $0.kind == .damage })")
            isUndamaged = !result.hasDamage
        } catch let error as RepoError where error.code == .damaged {
            precondition(!isWhole, "damage in what is clean: \(error)")
        } catch {}
        precondition(work.names("/restored").allSatisfy { $0 == "target" }, "a restore wrote outside its target")
        return isUndamaged
    }

    nonisolated(unsafe) private static let forged = try! ForgedRepository()
    nonisolated(unsafe) private static let other = try! ForgedRepository(identity: 100)
}

/// A folder of this process's in memory, gone with it.
final class FuzzFolder: Sendable {
    static let shared = FuzzFolder()

    let path: String

    private init() {
        var template = Array("/dev/shm/repo-fuzz-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no folder in memory")
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        make()
        atexit { FuzzFolder.remove(FuzzFolder.shared.path) }
    }

    private func make() { for name in ["/cache", "/restored"] { mkdir(path + name, 0o700) } }

    func empty() {
        Self.removeContents(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
        make()
    }

    func names(_ folder: String) -> [String] { (try? LocalFolder.names(in: path + folder)) ?? [] }

    /// What is in it, whatever its names are, and itself.
    private static func remove(_ path: String) {
        removeContents(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
        rmdir(path)
    }

    private static func removeContents(_ folder: Int32) {
        guard folder >= 0, let stream = fdopendir(folder) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    guard strcmp(name, ".") != 0, strcmp(name, "..") != 0, unlinkat(folder, name, 0) != 0 else { return }
                    removeContents(openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
                    unlinkat(folder, name, AT_REMOVEDIR)
                }
            }
        }
    }
}
