import BlobEngine
import RepoBase
import Storage

/// The key ring of an open repository, brought up to date when an object names an epoch or a key that it does not know: others may have
/// rotated or added keys since this process began.
final class RefreshedKeyRing: Sendable {
    private struct State {
        var keys: KeyRing
        var vainLooks = 0
        /// Looks that the store did not answer.
        var failures = 0
        var lastFailure: (any Error)?
    }

    private let state: Monitor<State>
    private let store: any Store
    /// Looks at the store that found nothing new, after which there are no more: objects that strangers left must not cost a request each.
    private static let vainLookLimit = 1000

    init(_ keys: KeyRing, _ store: any Store) {
        state = Monitor(State(keys: keys))
        self.store = store
    }

    var keys: KeyRing { state.withLock { $0.keys } }

    /// What `look` finds, after a refresh where it finds nothing at first. Costs one `stat` for each miss.
    func find<Found>(_ look: (KeyRing) -> Found?) -> Found? {
        let before = keys
        if let found = look(before) { return found }
        return refresh(after: before).flatMap(look)
    }

    /// Runs `body`. What it calls damaged, since a key or an epoch is not known, is not where the store could not be asked for later ones meanwhile:
    /// then this throws that failure.
    func telling<R>(_ body: () throws -> R) throws -> R {
        let before = state.withLock { $0.failures }
        do {
            return try body()
        } catch let error as RepoError where error.code == .damaged {
            throw state.withLock { $0.failures > before ? $0.lastFailure : nil } ?? error
        }
    }

    /// The ring of a later generation than `before`; nil where there is none, or it cannot be read: then what was asked for stays unknown,
    /// and who asked says so of the object at hand.
    func refresh(after before: KeyRing) -> KeyRing? {
        state.withLock { state in
            if state.keys.config.generation == before.config.generation, state.vainLooks < Self.vainLookLimit
            {
                do {
                    try state.keys.refresh(from: store)
                } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                    // What does not follow is none.
                } catch {
                    state.failures += 1
                    state.lastFailure = error
                }
                if state.keys.config.generation == before.config.generation { state.vainLooks += 1 }
            }
            return state.keys.config.generation > before.config.generation ? state.keys : nil
        }
    }

    /// What `id` may do.
    func role(of id: KeyID) -> KeyRole? { find { $0.role(of: id) } }

    /// Whether this key may rest new data on a pack that a segment signed by `signer` tells of (design, signatures): on its own packs, on those of
    /// full keys, and on what a full key has verified. What a segment says of a pack counts only from the pack's own signer or a full key.
    func trusts(segmentSigner signer: KeyID, _ pack: PackRecord) -> Bool {
        let isFull = role(of: signer) == .full
        guard isFull || signer == pack.seal.signer else { return false }
        if pack.seal.signer == keys.keyID || role(of: pack.seal.signer) == .full { return true }
        return isFull && pack.isVerified
    }
}
