import Glibc

/// Names a process for good: an id is used again, but not with the same start in the same boot (proc(5)).
public struct ProcessIdentity: Hashable, Sendable {
    /// `/proc/sys/kernel/random/boot_id`; empty where it cannot be read.
    public let bootID: String
    public let processID: UInt64
    /// Clock ticks since the boot.
    public let start: UInt64

    public init(bootID: String, processID: UInt64, start: UInt64) {
        (self.bootID, self.processID, self.start) = (bootID, processID, start)
    }

    public static var own: ProcessIdentity { ThreadMachine.current?.identity ?? real }

    private static let real = ProcessIdentity(
        bootID: readText("/proc/sys/kernel/random/boot_id"), processID: UInt64(getpid()),
        start: startTime(UInt64(getpid())) ?? 0)

    /// Whether that process certainly runs no more: another boot of this machine, no such process, or another one under its id.
    /// Only meaningful for a record of this host.
    public var isGone: Bool {
        if let machine = ThreadMachine.current { return machine.isGone(self) }
        guard !bootID.isEmpty, !Self.own.bootID.isEmpty else { return false }
        if bootID != Self.own.bootID { return true }
        if kill(pid_t(truncatingIfNeeded: processID), 0) != 0, errno == ESRCH { return true }
        guard let now = Self.startTime(processID) else { return false }
        return now != start
    }

    /// Field 22 of /proc/<pid>/stat; the second field, in parentheses, may hold anything.
    private static func startTime(_ process: UInt64) -> UInt64? {
        let text = readText("/proc/\(process)/stat")
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }

    private static func readText(_ path: String) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &buffer, buffer.count)
        guard count > 0 else { return "" }
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }
}
