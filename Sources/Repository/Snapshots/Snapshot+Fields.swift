import RepoBase

/// The sealed part of a snapshot: its fields (format.md, 7).
extension Snapshot {
    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.field(1) { $0.recordedMoment(time) }
        writer.field(2) { $0.raw(source.utf8) }
        writer.field(3) { $0.raw(kind.utf8) }
        writer.field(4) { $0.hash(root) }
        writer.field(16) { $0.raw(host.utf8) }
        writer.field(17) { $0.raw(user.utf8) }
        for tag in tags { writer.field(18) { $0.raw(tag.utf8) } }
        for path in paths { writer.field(19) { $0.raw(path) } }
        writer.field(20) {
            for value in SnapshotStatistics.order { $0.varint(statistics[keyPath: value]) }
        }
        if let parent { writer.field(21) { $0.hash(parent) } }
        writer.field(22) { $0.raw(programVersion.utf8) }
        for problem in problems.prefix(Snapshot.problemLimit) {
            writer.field(23) {
                $0.bytes(problem.path)
                $0.text(problem.message)
            }
        }
        if let repairs { writer.field(24) { $0.hash(repairs) } }
        for argument in arguments { writer.field(25) { $0.raw(argument) } }
        if let started { writer.field(26) { $0.recordedMoment(started) } }
        if !facts.isEmpty { writer.field(27) { $0.raw(facts) } }
        if let origin {
            writer.field(28) {
                $0.raw(origin.repository.bytes)
                $0.hash(origin.snapshot)
            }
        }
        return writer.bytes
    }

    init(_ bytes: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        var required: (time: FileTime?, source: String?, kind: String?, root: BlobID?)
        var snapshot = Snapshot(
            time: FileTime(seconds: 0, nanoseconds: 0), source: "", kind: "", root: BlobID(words: 0, 0, 0, 0))
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1: required.time = try field.recordedMoment()
            case 2: required.source = try field.restAsText()
            case 3: required.kind = try field.restAsText()
            case 4: required.root = try field.hash()
            case 16: snapshot.host = try field.restAsText()
            case 17: snapshot.user = try field.restAsText()
            case 18: snapshot.tags.append(try field.restAsText())
            case 19: snapshot.paths.append(Array(try field.raw(field.remaining)))
            case 20:
                for value in SnapshotStatistics.order {
                    snapshot.statistics[keyPath: value] = try field.varint()
                }
            case 21: snapshot.parent = try field.hash()
            case 22: snapshot.programVersion = try field.restAsText()
            case 23:
                guard snapshot.problems.count < Snapshot.problemLimit else {
                    throw field.fail("it lists more than \(Snapshot.problemLimit) problems")
                }
                let path = Array(try field.bytes())
                snapshot.problems.append(SnapshotProblem(path: path, message: try field.text(atMost: .max)))
            case 24: snapshot.repairs = try field.hash()
            case 26: snapshot.started = try field.recordedMoment()
            case 25: snapshot.arguments.append(Array(try field.raw(field.remaining)))
            case 27: snapshot.facts = Array(try field.raw(field.remaining))
            case 28:
                let repository = RepositoryID(bytes: try field.raw(RepositoryID.byteCount))!
                snapshot.origin = CopyOrigin(repository: repository, snapshot: try field.hash())
            default: return false
            }
            return true
        }
        guard let time = required.time, let source = required.source, let kind = required.kind,
            let root = required.root
        else { throw .damaged(object, "a field is missing") }
        (snapshot.time, snapshot.source, snapshot.kind, snapshot.root) = (time, source, kind, root)
        self = snapshot
    }
}
