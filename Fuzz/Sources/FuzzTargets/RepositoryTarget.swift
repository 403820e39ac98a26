@testable import BlobEngine
import Glibc
import RepoBase
@testable import Repository
import Storage

extension FuzzTarget {
    /// Whole operations on a repository of forged objects: opened, checked, restored, repaired.
    ///
    /// What must hold besides: nothing is written outside a restore's target; what a check of all data finds clean restores without damage; what was repaired does.
    func repository(_ bytes: [UInt8]) {
        let repairs = bytes.first ?? 0
        let edits = ForgedEdits(bytes.dropFirst(), blobs: Self.forged.blobCount)
        let work = FuzzFolder.shared
        defer { work.empty() }
        guard let (store, keys) = try? Self.forged.store(edits) else { preconditionFailure("a repository could not be forged") }
        guard let repository = try? OpenRepository(store: store, keys: keys, cacheDirectory: work.path + "/cache") else { return }
        var options = RepositoryCheck.Options()
        (options.data, options.threads, options.endorsesPacks) = (.all, 1, false)
        let report = try? RepositoryCheck(repository, options: options).run()
        precondition(!edits.isEmpty || report?.isClean == true, "what nobody changed is damaged: \(String(describing: report?.errors))")
        restore(work, store, keys, isWhole: report?.isClean == true)
        guard report?.isClean == false, repairs & 3 != 0 else { return }
        if repairs & 1 != 0 { _ = try? IndexRepair(repository, threads: 1).run() }
        if repairs & 2 != 0, let repaired = try? SnapshotRepair(repository).run(verifiesData: true) {
            for id in repaired.compactMap(\.new) {
                guard let entry = try? SnapshotCatalog(repository).read(id) else { preconditionFailure("a repaired snapshot does not read") }
                restore(entry.snapshot.root, work, repository, isWhole: true)
            }
        }
    }

    private func restore(_ work: FuzzFolder, _ store: MemoryStore, _ keys: KeyRing, isWhole: Bool) {
        guard let repository = try? OpenRepository(store: store, keys: keys, cacheDirectory: work.path + "/cache") else { return }
        repository.acceptPartialIndex()
        guard let entries = try? SnapshotCatalog(repository).all(onProblem: { _, _ in precondition(!isWhole, "a snapshot does not read that a check found clean") })
        else { return }
        for entry in entries { restore(entry.snapshot.root, work, repository, isWhole: isWhole) }
    }

    private func restore(_ root: BlobID, _ work: FuzzFolder, _ repository: OpenRepository, isWhole: Bool) {
        var options = RestoreOptions()
        (options.threads, options.overwrite) = (1, .always)
        do {
            let result = try Restorer(repository, root: root, target: Array("\(work.path)/restored/target".utf8), options: options).run()
            precondition(!isWhole || !result.hasDamage, "damage in what is clean: \(result.problems.filter { $0.kind == .damage })")
        } catch let error as RepoError where error.code == .damaged {
            precondition(!isWhole, "damage in what is clean: \(error)")
        } catch {}
        precondition(work.names("/restored").allSatisfy { $0 == "target" }, "a restore wrote outside its target")
    }

    nonisolated(unsafe) private static let forged = try! ForgedRepository()
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
        for name in ["/cache", "/restored"] { Self.remove(path + name) }
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
