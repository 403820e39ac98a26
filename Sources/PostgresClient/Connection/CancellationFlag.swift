import Glibc
public import RepoBase

/// Ends what connections wait for: set once by any thread, looked at between messages, and felt inside a wait (a pipe that becomes readable).
public final class CancellationFlag: Sendable {
    private let isSet = Monitor(false)
    /// Readable from the moment of `cancel` on.
    let descriptor: CInt
    private let trigger: CInt

    /// Throws `.failed` when the process has no descriptors left.
    public init() throws(RepoError) {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else {
            throw RepoError(
                .failed, "cannot make a pipe: \(String(cString: strerror(errno)))", advice: "Allow more open files (ulimit -n).")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (descriptor, trigger) = (ends[0], ends[1])
    }

    deinit {
        close(descriptor)
        close(trigger)
    }

    public var isCancelled: Bool { isSet.withLock { $0 } }

    /// Harmless when repeated.
    public func cancel() {
        let isFirst = isSet.withLock { set in
            defer { set = true }
            return !set
        }
        guard isFirst else { return }
        var byte: UInt8 = 0
        _ = write(trigger, &byte, 1)
    }

    /// Waits until the time is over, or somebody cancels; whether that was so.
    public func wait(until deadline: ContinuousClock.Instant) -> Bool {
        while !isCancelled {
            let left = deadline - .now
            guard left > .zero else { return false }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            poll(&waiting, 1, CInt(min(Int64(CInt.max), left.milliseconds + 1)))
        }
        return true
    }

    /// Throws `.interrupted` after `cancel`.
    public func check() throws(RepoError) {
        if isCancelled { throw Self.interrupted }
    }

    static var interrupted: RepoError { RepoError(.interrupted, "interrupted") }
}
