import BlobEngine
import PostgresFormats
public import RepoBase
public import Repository
import Storage

/// Copies a repository's log to another: to a twin object by object as it is, to any other sealed anew with its keys.
///
/// Objects of the log are created and never changed, so one that is there under its name is not sent again. Each is verified before it is put.
public struct LogCopy {
    /// What was done.
    public struct Outcome: Sendable {
        public var objects: UInt64 = 0
        public var present: UInt64 = 0
        public var sent: UInt64 = 0
        public var bytesSent: UInt64 = 0
        public var failures: [(object: String, error: RepoError)] = []
    }

    private let source: WALArchive
    private let destination: WALArchive
    private let isDryRun: Bool
    /// Nil where what is sent is known there, since it comes back from a copy.
    private var twinKeys: TwinKeys?

    public init(from source: OpenRepository, to destination: OpenRepository, isDryRun: Bool = false) {
        (self.source, self.destination, self.isDryRun) = (WALArchive(source), WALArchive(destination), isDryRun)
        twinKeys = TwinKeys(from: source, to: destination)
    }

    /// Lists the log of both and sends what the other lacks, oldest first. A damaged object is named and passed over.
    /// - Parameter systems: of which clusters; nil for all.
    public func run(systems: Set<UInt64>? = nil) throws -> Outcome {
        if systems?.isEmpty == true { return Outcome() }
        var there: [StoreKey: UInt64] = [:]
        try destination.store.list(WALObjectName.prefix) { there[$0.key] = $0.size }
        var missing: [StoredObject] = []
        var outcome = Outcome()
        let isTwin = source.repository.keys.repositoryID == destination.repository.keys.repositoryID
        try source.store.list(WALObjectName.prefix) { object in
            guard let (system, _) = WALObjectName.parse(object.key), systems?.contains(system) ?? true else { return }
            outcome.objects += 1
            guard let size = there[object.key] else { return missing.append(object) }
            outcome.present += 1
            if isTwin, size != object.size {
                outcome.failures.append(
                    (
                        "\(object.key)",
                        RepoError(
                            .damaged, "\(object.key) has \(size) bytes in \(destination.store.location) instead of \(object.size)",
                            advice: "Run 'repo check --heal-from' there.")
                    ))
            }
        }
        guard !isDryRun else {
            outcome.sent = UInt64(missing.count)
            outcome.bytesSent = missing.reduce(0) { $0 + $1.size }
            return outcome
        }
        // Segments have their place in their names, histories come before what they lead to.
        for object in missing.sorted(by: { $0.key < $1.key }) {
            do {
                outcome.bytesSent += isTwin ? try send(object.key) : try sealAnew(object.key)
                outcome.sent += 1
            } catch let error as RepoError where error.code == .notFound {
                continue  // A prune took it since.
            } catch let error as RepoError where error.code == .damaged {
                outcome.failures.append(("\(object.key)", error))
            }
        }
        return outcome
    }

    /// Brings back what a check found damaged or missing of the destination's log: damaged objects go aside first, as `LogRepair` does it, and
    /// then all that the destination lacks of the clusters concerned comes from the source.
    /// - Parameter damages: of a check of the destination; those of kind log count.
    public func heal(_ damages: [Damage]) throws -> (healed: [String], outcome: Outcome) {
        let keys = damages.filter { $0.kind == .log }.compactMap { StoreKey(checking: $0.object) }.filter { WALObjectName.parse($0) != nil }
        guard !keys.isEmpty else { return ([], Outcome()) }
        var there: Set<StoreKey> = []
        for key in keys where try destination.store.stat(key) != nil { there.insert(key) }
        var healed: [String] = []
        for key in there.sorted() {
            // Only what is good in the source is taken out of the way here.
            guard (try? source.reader(key).verifyContent()) != nil
            else { continue }
            _ = try LogRepair(destination).run(["\(key)"])
        }
        var back = self
        back.twinKeys = nil
        let outcome = try back.run(systems: Set(keys.compactMap { WALObjectName.parse($0)?.systemIdentifier }))
        for key in keys where try destination.store.stat(key) != nil && !outcome.failures.contains(where: { $0.object == "\(key)" }) {
            healed.append("\(key)")
        }
        return (healed, outcome)
    }

    private func send(_ key: StoreKey) throws -> UInt64 {
        let reader = try source.reader(key)
        try reader.verifyContent()
        let bytes = try source.store.get(key, atMost: Int(reader.length))
        guard bytes.count == Int(reader.length) else { throw RepoError.damaged("\(key)", "it ends early") }
        try twinKeys?.bring()
        do {
            try destination.store.put(key, bytes, .create)
        } catch let error as RepoError where error.code == .conflict {
            return 0  // Another copy was faster.
        }
        return UInt64(bytes.count)
    }

    private func sealAnew(_ key: StoreKey) throws -> UInt64 {
        guard let (system, name) = WALObjectName.parse(key) else { return 0 }
        let reader = try source.open(name, system: system)
        // What nobody compared is not to be vouched for by another key.
        let facts = try reader.facts()
        let files = WALFileSource(
            names: reader.description.files.map(\.name), lengths: reader.description.files.map(\.length)
        ) { number in
            WALFile(
                name: reader.description.files[number].name, content: try reader.verifiedContent(of: number, facts),
                facts: reader.description.factsIndex(of: number).flatMap { facts[$0] })
        }
        let writer = WALObjectWriter(keys: destination.repository.keys, hasher: destination.hasher)
        let sealed = try writer.seal(
            files, key: key, segmentSize: reader.description.segmentSize, stored: reader.description.stored, host: reader.description.host)
        do {
            try withExtendedLifetime(sealed.bytes) { try destination.store.put(key, sealed.bytes.bytes, .create) }
        } catch let error as RepoError where error.code == .conflict {
            return 0
        }
        return UInt64(sealed.bytes.count)
    }
}
