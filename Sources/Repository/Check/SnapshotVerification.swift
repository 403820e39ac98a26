import BlobEngine
public import RepoBase

/// Reads back what a snapshot has just stored: every pack in whole, every blob opened, decoded and hashed.
public struct SnapshotVerification {
    private let repository: OpenRepository
    private let before: Set<ObjectID>

    /// To be made before the snapshot begins: what is indexed later counts as added by it.
    public init(before repository: OpenRepository) throws {
        self.repository = repository
        before = try repository.reloadIndex().segments
    }

    /// Throws `.damaged` naming the first pack that does not read, `.wrongKey` for a writer key.
    @discardableResult
    public func run(threads: Int = availableProcessors(), progress: CheckProgress = CheckProgress()) throws
        -> CheckReport
    {
        try repository.requireReading("read a snapshot back")
        let view = try repository.index()
        let numbering = PackNumbering(view)
        var added: Set<UInt32> = []
        for (table, name) in view.names.enumerated() where !before.contains(name) {
            added.formUnion(numbering.byTable[table])
        }
        let check = DataCheck(
            repository, numbering, packs: added.sorted(), threads: threads, progress: progress)
        let findings = try check.run()
        var report = CheckReport()
        report.objects = findings.packs
        report.blobs = findings.blobs
        report.bytesRead = findings.bytesRead
        if let pack = findings.missingPacks.first {
            throw RepoError.damaged("\(PackObject.key(numbering.packs[Int(pack)].id))", "it is missing")
        }
        if let (pack, problems) = findings.packProblems.first {
            throw RepoError.damaged("\(PackObject.key(numbering.packs[Int(pack)].id))", problems[0])
        }
        if let (copy, blob) = findings.badCopies.first {
            throw RepoError.damaged(
                "\(PackObject.key(numbering.packs[Int(copy.pack)].id))", "blob \(blob.id): \(blob.problem)")
        }
        return report
    }
}
