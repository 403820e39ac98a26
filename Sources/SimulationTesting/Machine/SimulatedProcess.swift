import RepoBase

/// A machine that programs run on, one after the other or several at once. Its cache stays when they die.
package final class SimulatedHost: Sendable {
    package let name: String
    package let cacheDirectory: String
    package let processors: Int

    package init(name: String, cacheDirectory: String, processors: Int) {
        (self.name, self.cacheDirectory, self.processors) = (name, cacheDirectory, processors)
    }
}

/// One run of a program. Its state is touched only by the thread whose turn it is, which is what makes `@unchecked Sendable` true.
package final class SimulatedProcess: @unchecked Sendable {
    package let number: Int
    package let host: SimulatedHost
    /// What it is at, for messages.
    package let title: String
    /// Killed: every later operation of it throws.
    package private(set) var isDead = false
    package private(set) var hasEnded = false
    /// Nanoseconds; while it is frozen none of its threads runs.
    package internal(set) var frozenUntil: Int64 = 0
    /// Operations on stores so far.
    package internal(set) var operations = 0
    /// It died, was frozen, or something that it sent arrived late: a collector may not have waited for it.
    package internal(set) var wasSilent = false

    init(number: Int, host: SimulatedHost, title: String) {
        (self.number, self.host, self.title) = (number, host, title)
    }

    var identity: ProcessIdentity {
        ProcessIdentity(bootID: "boot of \(host.name)", processID: UInt64(number), start: UInt64(number))
    }

    func die() {
        isDead = true
        wasSilent = true
    }

    func end() { hasEnded = true }

    /// Whether other processes of its host see that it is gone.
    var isGone: Bool { isDead || hasEnded }
}
