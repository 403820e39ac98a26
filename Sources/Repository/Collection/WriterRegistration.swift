import BlobEngine
import RepoBase
import Storage

/// A writer's sign on the store that it is at work, which makes collectors wait for it (docs/collection.md).
///
/// The registration is created and never written again: a process that stalled just before would revive it after it was fenced and
/// removed. What shows that the writer lives is an object beside it.
final class WriterRegistration: Sendable {
    static let prefix = "writers/"
    private static let refreshSeconds = 600

    let identifier: [UInt8]
    private let repository: OpenRepository
    private let isEnded = Monitor(false)
    private let refresher = Monitor<WorkerThread?>(nil)
    private let hasGivenSign = Monitor(false)

    private init(_ identifier: [UInt8], _ repository: OpenRepository) {
        self.identifier = identifier
        self.repository = repository
    }

    /// Registers; to be called before the index is loaded.
    static func begin(_ repository: OpenRepository) throws -> WriterRegistration {
        let registration = WriterRegistration(RandomBytes.make(16), repository)
        try repository.store.put(registration.key, registration.record(), .create)
        registration.keepFresh()
        return registration
    }

    var key: StoreKey { Self.key(identifier) }

    static func key(_ identifier: [UInt8]) -> StoreKey {
        StoreKey("\(prefix)\(Hexadecimal.encode(identifier))")
    }

    static func fenceKey(_ identifier: [UInt8]) -> StoreKey {
        StoreKey("\(prefix)\(Hexadecimal.encode(identifier)).fence")
    }

    /// Written anew every ten minutes; its age counts, nothing else.
    static func signKey(_ identifier: [UInt8]) -> StoreKey {
        StoreKey("\(prefix)\(Hexadecimal.encode(identifier)).alive")
    }

    private func record() -> [UInt8] {
        let stamp = JournalStamp.now()
        var fields = RecordFields(time: stamp.time, name: key)
        fields.host = stamp.host
        fields.user = stamp.user
        let process = ProcessIdentity.own
        fields.bootID = process.bootID
        fields.processID = process.processID
        fields.processStart = process.start
        return SealedRecord.encode(.writer, fields, by: repository.keys)
    }

    private func keepFresh() {
        refresher.withLock { thread in
            thread = WorkerThread { [self] in
                while !isEnded.wait(upTo: Self.refreshSeconds, until: { $0 }) {
                    // A sign that fails is given again; the fence tells when it was too late.
                    try? giveSign()
                }
            }
        }
    }

    /// Shows that somebody is there, unless the registration was removed: nobody looks for a sign without one.
    func giveSign() throws {
        guard try repository.store.stat(key) != nil else { return }
        hasGivenSign.withLock { $0 = true }
        let signKey = Self.signKey(identifier)
        let sign = SealedRecord.encode(.writer, RecordFields(time: JournalStamp.now().time, name: signKey), by: repository.keys)
        try repository.store.put(signKey, sign, .replace)
    }

    /// Whether a collector has declared this writer dead: by a fence, or by removing both long after.
    func isFenced() throws -> Bool {
        // In this order, since the fence is removed last.
        try repository.store.stat(Self.fenceKey(identifier)) != nil || repository.store.stat(key) == nil
    }

    /// Throws when fenced: nothing was published.
    func checkFence() throws {
        guard try isFenced() else { return }
        throw RepoError(
            .failed, "this run was silent for so long that a prune no longer waited for it",
            advice: "Run it again; raise 'prune --fence-after' when runs are silent for that long.")
    }

    /// Deregisters. Failure is harmless: the next prune finds that the process is gone.
    func end() {
        let first = isEnded.update { ended in
            defer { ended = true }
            return !ended
        }
        guard first else { return }
        refresher.withLock { thread in
            thread?.join()
            thread = nil
        }
        let sign = hasGivenSign.withLock { $0 } ? [Self.signKey(identifier)] : []
        try? repository.store.delete([Self.fenceKey(identifier)] + sign + [key])
    }
}
