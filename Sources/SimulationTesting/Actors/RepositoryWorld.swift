import BlobEngine
import NumbersTesting
import RepoBase
import Repository
import RepositoryTesting
import Storage

/// The repositories and hosts of one simulated history, and what was promised of them.
///
/// Its state is touched only by the thread whose turn it is, which is what makes `@unchecked Sendable` true.
package final class SimulatedSite: @unchecked Sendable {
    package let place: SimulatedPlace
    package var ledger = Ledger()
    let key: [UInt8]
    /// What opened it first.
    var keys: KeyRing?
    var writerKeys: KeyRing?

    init(_ place: SimulatedPlace, key: [UInt8]) { (self.place, self.key) = (place, key) }
}

package final class RepositoryWorld: @unchecked Sendable {
    package let simulation: Simulation
    package let sites: [SimulatedAction.Site: SimulatedSite]
    private let writerKey: [UInt8]
    /// Decides what the sources hold.
    var contents: SeededNumbers
    /// What each source holds.
    private(set) var current: [Int: MemoryFiles]
    package private(set) var attempts: [Int64: Attempt]
    /// How each run of a program ended.
    package internal(set) var outcomes: [String: Int] = [:]
    /// Some prune does not wait long for those who are silent, so that anybody may be fenced.
    package var hasHastyPrunes = false
    private var folders: [String] = []

    package init(_ simulation: Simulation, _ stage: WorldStage, seed: UInt64) throws {
        let template = try RepositoryTemplate.make()
        self.simulation = simulation
        sites = [
            .primary: SimulatedSite(stage.places[.primary]!.copy(), key: template.fullKey),
            .twin: SimulatedSite(stage.places[.twin]!.copy(), key: template.fullKey),
            .other: SimulatedSite(stage.places[.other]!.copy(), key: template.otherKey),
        ]
        (current, attempts) = (stage.current, stage.attempts)
        writerKey = template.writerKey
        contents = SeededNumbers(seed: seed ^ 0x5151_5151)
        for (name, ledger) in stage.ledgers { sites[name]?.ledger = ledger }
        for (name, keys) in stage.keys { sites[name]?.keys = keys }
    }

    deinit { for folder in folders { TemporaryFolder.remove(folder) } }

    package func makeHost(_ name: String, processors: Int = 1) -> SimulatedHost {
        let folder = TemporaryFolder.path(name)
        folders.append(folder)
        return SimulatedHost(name: name, cacheDirectory: folder, processors: processors)
    }

    package func site(_ name: SimulatedAction.Site) -> SimulatedSite { sites[name]! }

    /// What a source holds after its next changes, as a snapshot that is about to be taken; its number stands in it as its time.
    func begin(source: Int, by process: SimulatedProcess) -> (number: Int64, files: MemoryFiles) {
        // Now and then a source is again what it, or another, was before: what nobody needs any more is needed again.
        let isBack = !attempts.isEmpty && Int.random(in: 0..<5, using: &contents) < 2
        let before = isBack ? attempts[Int64.random(in: 1...Int64(attempts.count), using: &contents)]?.files : current[source]
        let isSame = isBack && Bool.random(using: &contents)
        let files = isSame ? before ?? [:] : SimulatedContent.changed(before ?? [:], &contents)
        current[source] = files
        let number = Int64(attempts.count + 1)
        attempts[number] = Attempt(files: files, source: "source \(source)", process: process)
        return (number, files)
    }

    func storeKey(_ site: SimulatedSite, isWriter: Bool) -> [UInt8] { isWriter ? writerKey : site.key }
}
