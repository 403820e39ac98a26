import Glibc
public import RepoBase
import Storage
public import StorageRemote

/// OpenSSH's sshd on loopback with its own sftp-server: host key, user's key and known hosts are its own, in a temporary folder, and it
/// runs without privileges. Nothing of the machine's SSH is used or changed.
///
/// Tests share one and take a directory each.
public final class SSHServer: Sendable {
    private let process: ServerProcess
    public let port: Int
    /// With `id` (the user's key), `known_hosts` and `data`.
    public let folder: String
    /// Who it runs as and lets in: `postgres` where tests run as root, who has no business here.
    public let user: String

    private static let shared = Result { try SSHServer() }

    /// The one that tests share; it ends with the process.
    public static func running() throws -> SSHServer { try shared.get() }

    /// One of its own, for a test that ends it.
    public init(port: Int? = nil, folder existing: String? = nil) throws {
        let folder = try existing ?? ServerProcess.makeFolder("sshd")
        let port = try port ?? Loopback.freePorts(1)[0]
        let isRoot = geteuid() == 0
        guard let entry = isRoot ? getpwnam("postgres") : getpwuid(geteuid()) else {
            throw RepoError(.failed, "there is no user for sshd", advice: "Run tools/setup.")
        }
        user = String(cString: entry.pointee.pw_name)
        if existing == nil {
            for key in ["host", "id"] {
                try ServerProcess.run(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", "\(folder)/\(key)"])
            }
            try ServerProcess.run(["/bin/cp", "\(folder)/id.pub", "\(folder)/authorized_keys"])
            mkdir(folder + "/data", 0o700)
            try ServerProcess.write(Self.configuration(folder, port, try Self.reachable(Self.subsystem, folder)), to: folder + "/sshd_config")
            // The tests' own side stays theirs: sshd needs its host key, the list of users' keys, and the data.
            if isRoot {
                for name in ["", "/host", "/authorized_keys", "/data", "/sshd_config"] { chown(folder + name, entry.pointee.pw_uid, entry.pointee.pw_gid) }
            }
            let key = try ServerProcess.text(folder + "/host.pub").split(separator: " ").prefix(2).joined(separator: " ")
            try ServerProcess.write("[127.0.0.1]:\(port) \(key)\n", to: folder + "/known_hosts")
            try ServerProcess.write("", to: folder + "/nobody_known")
        }
        self.folder = folder
        self.port = port
        let identity = isRoot ? ["--reuid=\(entry.pointee.pw_uid)", "--regid=\(entry.pointee.pw_gid)", "--clear-groups"] : []
        process = try ServerProcess(
            "/usr/bin/setpriv", folder: folder, identity + ["--pdeathsig", "KILL", try Self.reachable(Self.daemon, folder), "-D", "-e", "-f", "\(folder)/sshd_config"])
        let removal = ServerRemoval(process)
        try process.wait {
            guard let socket = Loopback.connect(port) else { return false }
            close(socket)
            return true
        }
        removal.keep()
    }

    /// Debian's, or what `tools/setup` has unpacked.
    private static var daemon: String {
        access("/usr/sbin/sshd", X_OK) == 0 ? "/usr/sbin/sshd" : ServerProcess.binaries + "/../../openssh/usr/sbin/sshd"
    }

    /// The program that speaks SFTP on its standard input and output.
    public static var subsystem: String {
        access("/usr/lib/openssh/sftp-server", X_OK) == 0
            ? "/usr/lib/openssh/sftp-server" : ServerProcess.binaries + "/../../openssh/usr/lib/openssh/sftp-server"
    }

    /// The program, or a copy in `folder` of what was unpacked: the user whom it runs as may not enter where the project is.
    private static func reachable(_ program: String, _ folder: String) throws -> String {
        if program.hasPrefix("/usr/sbin/") || program.hasPrefix("/usr/lib/openssh/") { return program }
        let copy = folder + "/" + program.split(separator: "/").last!
        if access(copy, X_OK) != 0 { try ServerProcess.run(["/bin/cp", program, copy]) }
        return copy
    }

    private static func configuration(_ folder: String, _ port: Int, _ subsystem: String) -> String {
        """
        ListenAddress 127.0.0.1
        Port \(port)
        HostKey \(folder)/host
        PidFile none
        AuthorizedKeysFile \(folder)/authorized_keys
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        MaxStartups 100
        Subsystem sftp \(subsystem)

        """
    }

    /// Where nobody listens.
    public static func unusedPort() throws -> Int { try Loopback.freePorts(1)[0] }

    /// Ends it and every connection, as a machine that crashes.
    public func stop() {
        let children = process.descendants
        process.stop()
        for child in children { kill(child, SIGKILL) }
    }

    /// Ends it as soon as so many bytes were stored since now; the caller waits for the thread.
    public func stopWhenStored(_ bytes: UInt64) -> WorkerThread {
        let start = stored
        return WorkerThread { [self] in
            for _ in 0..<60_000 where process.isRunning {
                if stored >= start + bytes { return stop() }
                usleep(1000)
            }
        }
    }

    /// Bytes in its files, those that are being written included.
    private var stored: UInt64 { Self.bytes(below: folder + "/data") }

    private static func bytes(below path: String) -> UInt64 {
        guard let stream = opendir(path) else { return 0 }
        defer { closedir(stream) }
        var sum: UInt64 = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            var status = stat()
            guard name != ".", name != "..", lstat("\(path)/\(name)", &status) == 0 else { continue }
            sum += status.st_mode & S_IFMT == S_IFDIR ? bytes(below: "\(path)/\(name)") : UInt64(status.st_size)
        }
        return sum
    }

    /// A directory that no other test uses; it does not exist.
    public func newPath() -> String { "\(folder)/data/\(SeaweedServer.uniquePrefix())" }

    /// What the tests use to come in.
    public func location(_ path: String, knownHosts: String? = nil, port: Int? = nil) -> String {
        "sftp://\(user)@127.0.0.1:\(port ?? self.port)\(path)?identity=\(folder)/id&known-hosts=\(knownHosts ?? folder + "/known_hosts")&ssh-config=/dev/null"
    }

    public func store(_ path: String? = nil, options: SFTPStore.Options = .init(), command: String? = nil) throws -> SFTPStore {
        let location = try SFTPLocation(parsing: String(location(path ?? newPath()).dropFirst(5)))
        return try SFTPStore(location, mustExist: false, command: command, options: options)
    }
}
