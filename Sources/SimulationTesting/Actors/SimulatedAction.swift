/// A run of the program.
package enum SimulatedAction: Hashable, Sendable, CustomStringConvertible {
    /// Which of the three repositories.
    package enum Site: String, Hashable, Sendable, CaseIterable {
        case primary
        /// With the same keys, as `repo init --copy-of` makes it.
        case twin
        /// With keys of its own.
        case other
    }

    package struct Pruning: Hashable, Sendable, CustomStringConvertible {
        package var site = Site.primary
        /// In hundredths.
        package var maximumUnused = 0
        package var minimumAgeHours = 24
        package var fenceAfterHours = 7 * 24
        package var endsRotation = false

        package init() {}

        package var description: String {
            "\(site)\(maximumUnused > 0 ? " unused \(maximumUnused) %" : "")\(minimumAgeHours == 24 ? "" : " min age \(minimumAgeHours) h")"
                + "\(fenceAfterHours == 168 ? "" : " fence after \(fenceAfterHours) h")\(endsRotation ? " ends rotation" : "")"
        }
    }

    case snapshot(source: Int)
    /// So many consecutive files of the log, from this one on, in one object.
    case pushLog(first: Int, count: Int)
    /// The oldest snapshots, so many.
    case forget(Site, count: Int)
    case prune(Pruning)
    /// - readsOnly: by somebody who may store nothing in the first repository.
    case copy(Site, readsOnly: Bool = false)
    case rotateKeys
    case repairIndex(Site)
    case repairPacks(Site)
    /// Everything is read and verified.
    case check(Site)
    /// A snapshot is restored and compared.
    case restore(Site)

    package var description: String {
        switch self {
        case .snapshot(let source): "snapshot of source \(source)"
        case .pushLog(let first, let count): "push of log \(first)\(count > 1 ? " to \(first + count - 1)" : "")"
        case .forget(let site, let count): "forget of \(count) in \(site)"
        case .prune(let pruning): "prune of \(pruning)"
        case .copy(let site, let readsOnly): "copy to \(site)\(readsOnly ? " by a reader" : "")"
        case .rotateKeys: "key rotation"
        case .repairIndex(let site): "repair of the index of \(site)"
        case .repairPacks(let site): "repair of packs of \(site)"
        case .check(let site): "check of \(site)"
        case .restore(let site): "restore from \(site)"
        }
    }
}
