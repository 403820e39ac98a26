import Glibc

/// This machine's clocks; on the threads of a simulation, its own.
public enum SystemClock {
    /// CLOCK_REALTIME: it may jump.
    public static func now() -> FileTime {
        if let machine = ThreadMachine.current { return machine.now() }
        var reading = timespec()
        clock_gettime(CLOCK_REALTIME, &reading)
        return FileTime(seconds: Int64(reading.tv_sec), nanoseconds: UInt32(reading.tv_nsec))
    }

    /// CLOCK_MONOTONIC: time since an arbitrary start, which never goes back.
    public static func elapsed() -> Duration {
        if let machine = ThreadMachine.current { return machine.elapsed() }
        var reading = timespec()
        clock_gettime(CLOCK_MONOTONIC, &reading)
        return .seconds(reading.tv_sec) + .nanoseconds(reading.tv_nsec)
    }

    /// Blocks the calling thread for at least this long (clock_nanosleep).
    public static func sleep(_ duration: Duration) {
        if let machine = ThreadMachine.current { return machine.sleep(duration) }
        let (seconds, attoseconds) = duration.components
        guard seconds >= 0, attoseconds >= 0 else { return }
        var left = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        withUnsafeMutablePointer(to: &left) { left in
            while clock_nanosleep(CLOCK_MONOTONIC, 0, left, left) == EINTR {}
        }
    }
}
