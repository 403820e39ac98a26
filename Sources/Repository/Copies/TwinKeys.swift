import RepoBase

/// Keys of a twin, kept up to date while objects are sent to it: an object whose epoch the twin does not know reads nowhere once the repository that it
/// came from is lost. Somebody may rotate keys, and store under the new ones, while a copy is under way.
package final class TwinKeys: Sendable {
    private let source: OpenRepository
    private let destination: OpenRepository
    /// The generation of config that was brought.
    private let brought = Monitor<UInt64?>(nil)

    package init(from source: OpenRepository, to destination: OpenRepository) { (self.source, self.destination) = (source, destination) }

    /// To be called between reading an object here and putting it there. What has been read is of no later generation than the source's keys are then,
    /// so that this asks nothing of a store where they have not changed.
    package func bring() throws {
        try brought.withLock { brought in
            let generation = source.keys.config.generation
            guard brought.map({ $0 < generation }) ?? true else { return }
            try TwinRepository.bringKeys(from: source, to: destination)
            brought = generation
        }
    }
}
