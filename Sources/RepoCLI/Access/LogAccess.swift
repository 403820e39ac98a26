import Glibc
import Recovery
import RepoBase
import StorageRemote

/// How a restored server reaches the repository: what stands in its `restore_command`, and what does not.
struct LogAccess {
    /// With `%f` and `%p`.
    let command: String
    /// Variables that the server has to be started with, since secrets are written nowhere.
    let variables: [String]

    /// Throws `.usage` where the password is only asked for on the terminal.
    init(_ context: CommandContext, systemIdentifier: UInt64) throws {
        var variables: [String] = []
        let repository: String
        switch try context.location() {
        case .directory(let path): repository = try Self.absolute(path)
        case .remote(let location):
            repository = try context.locationText()
            variables = location.variables.filter { context.console.variable($0) != nil }
        case .sftp:
            repository = try context.locationText()
            variables = SFTPStore.variables.filter { context.console.variable($0) != nil }
        }
        var words = [Self.program(), "wal", "get", "--config", "/dev/null", "--repo", repository]
        switch try context.credentialSource() {
        case .keyFile(let file): words += ["--key-file", try Self.absolute(file)]
        case .passwordFile(let file): words += ["--password-file", try Self.absolute(file)]
        case .passwordCommand(let command): words += ["--password-command", command]
        case .password: variables.append("REPO_PASSWORD")
        case .terminal:
            throw RepoError(
                .usage, "the restored server fetches its log by itself and cannot ask for a password",
                advice: "Name a key file or a password file that the server's user may read: --key-file, --password-file.")
        }
        words += ["--system-identifier", "\(systemIdentifier)"]
        // Percent signs mean something to PostgreSQL.
        command = words.map { ShellWord.quoted($0).replacingScalars { $0 == "%" ? "%%" : nil } }.joined(separator: " ") + " %f %p"
        self.variables = variables
    }

    /// This program's whole path.
    private static func program() -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        return length > 0 ? String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self) : "repo"
    }

    static func absolute(_ path: String) throws(RepoError) -> String {
        if path.hasPrefix("/") { return path }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&buffer, buffer.count) != nil else {
            throw RepoError(.failed, "the current directory has no path", advice: "Give whole paths.")
        }
        let folder = buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        return folder == "/" ? "/" + path : "\(folder)/\(path)"
    }
}
