import RepoBase

/// Frees what no snapshot needs, beside running writers, in the order that docs/collection.md proves safe.
///
/// Each step may be repeated: after a crash between any two operations on the store the next run goes on. Memory is a quarter of a byte for each blob,
/// some hundred bytes for each pack, what is copied at a time, and one merged segment of the index.
public struct Collector {
    let repository: OpenRepository
    let options: CollectionOptions
    private let onStage: (CollectionStage) -> Void

    /// - Parameter onStage: told of each stage as it begins, for progress.
    public init(
        _ repository: OpenRepository, options: CollectionOptions = CollectionOptions(),
        onStage: @escaping (CollectionStage) -> Void = { _ in }
    ) {
        self.repository = repository
        self.options = options
        self.onStage = onStage
    }

    /// Marks, copies, condemns, and sweeps what nobody needs to be waited for.
    ///
    /// Throws `.refused` for a writer key, and `.damaged` when something that a snapshot needs is missing or does not read: then nothing was
    /// deleted, since a repair might want it.
    public func run() throws -> CollectionOutcome {
        guard repository.keys.role == .full else {
            throw RepoError(
                .refused, "a writer key can add backups and delete none",
                advice: "Use a full key for 'repo prune'.")
        }
        guard (0...1).contains(options.maximumUnused) else {
            throw RepoError(.usage, "the share that may stay unused is not between 0 and 100 %")
        }
        if options.isDryRun { return try CollectionRun(self, repository, registration: nil).plan() }
        let store = repository.store
        let repository = try OpenRepository(
            store: ReservingStore(store), keys: repository.keys, cacheDirectory: repository.cacheDirectory,
            objects: repository.objects, isRemote: repository.isRemote, freshness: repository.freshness)
        let registration = try WriterRegistration.begin(repository)
        defer {
            registration.end()
            SpaceReserve.keep(in: store)
        }
        // Keys that open no more than machines' would never do it. Where it fails, nothing is lost: readers find later generations by themselves.
        try? repository.keys.history(in: repository.store).finishInterruptedChange(from: repository.keys.signedConfig)
        return try CollectionRun(self, repository, registration: registration).run()
    }

    func begin(_ stage: CollectionStage) { onStage(stage) }
}

/// What a collection is at.
public enum CollectionStage: String, Hashable, Sendable {
    case marking = "finding what snapshots need"
    case copying = "copying what is needed out of packs with too much garbage"
    case condemning = "condemning packs"
    case protecting = "making the parity of what stays"
    case sweeping = "deleting packs"
    case indexing = "putting the index together"
}
