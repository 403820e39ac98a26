import Glibc

/// How this machine and its user are called in what is written for people; on the threads of a simulation, as it says.
public enum MachineNames {
    /// gethostname(2); empty where it fails.
    public static var host: String {
        if let machine = ThreadMachine.current { return machine.hostName }
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The name of the effective user, or its number where it has no name (getpwuid_r).
    public static var user: String {
        if let machine = ThreadMachine.current { return machine.userName }
        let id = geteuid()
        var buffer = [CChar](repeating: 0, count: 16384)
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        return buffer.withUnsafeMutableBufferPointer { buffer in
            guard getpwuid_r(id, &record, buffer.baseAddress!, buffer.count, &found) == 0, found != nil else { return String(id) }
            return String(cString: record.pw_name)
        }
    }
}
