import Glibc
public import RepoBase
public import Repository

/// Tries a restore command as the server will run it, before anything is touched: whether the server's user may run the program, read the
/// key and reach the repository shows here, and not in the middle of a recovery.
public struct RestoreCommandTrial {
    private let command: String
    private let owner: FileOwner?

    /// - Parameters:
    ///   - command: with `%f` and `%p`.
    ///   - root: the snapshot's tree, whose files tell who runs the server.
    public init(_ command: String, root: BlobID, _ repository: OpenRepository) throws {
        self.command = command
        let entry = try SnapshotPath.file(root, Array("PG_VERSION".utf8), BlobReader(repository))
        owner = geteuid() == 0 ? FileOwner(recorded: entry.metadata) : nil
    }

    /// The user whom files are given to and the server runs as; nil when that is whoever runs this.
    public var user: String? {
        owner.map { owner in getpwuid(owner.user).map { String(cString: $0.pointee.pw_name) } ?? "\(owner.user)" }
    }

    /// Fetches one segment. Returns what went wrong, or nil.
    public func run(_ segment: String) throws(RepoError) -> String? {
        var template = Array("/tmp/repo-trial.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TextFile.failure("make", "/tmp/repo-trial") }
        let folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let file = folder + "/segment"
        defer {
            unlink(file)
            rmdir(folder)
        }
        if let owner, chown(folder, owner.user, owner.group) != 0 { throw TextFile.failure("give to its owner", folder) }
        let outcome = try ChildRun.run(["/bin/sh", "-c", Self.filled(command, file: segment, path: file)], as: owner, in: folder)
        guard outcome.status != 0 else { return nil }
        let detail = outcome.output.isEmpty ? "" : ": \(outcome.output.split(separator: "\n").prefix(2).joined(separator: " "))"
        return "exit status \(outcome.status)\(detail)"
    }

    /// As PostgreSQL fills it in (`BuildRestoreCommand`, common/archive.c): `%f`, `%p`, and `%%` for a percent sign.
    static func filled(_ command: String, file: String, path: String) -> String {
        var result = ""
        var isEscaped = false
        for character in command {
            guard isEscaped else {
                if character == "%" { isEscaped = true } else { result.append(character) }
                continue
            }
            isEscaped = false
            switch character {
            case "f": result += file
            case "p": result += path
            case "%": result += "%"
            default: result += "%\(character)"
            }
        }
        return result + (isEscaped ? "%" : "")
    }
}

extension FileOwner {
    /// Who a file would be given to: by name where this machine knows it, else by number, as a restore does.
    init(recorded metadata: FileMetadata) {
        let name = String(decoding: metadata.userName, as: UTF8.self)
        let entry = name.isEmpty ? nil : getpwnam(name)
        user = entry?.pointee.pw_uid ?? metadata.userID
        let groupName = String(decoding: metadata.groupName, as: UTF8.self)
        let groupEntry = groupName.isEmpty ? nil : getgrnam(groupName)
        group = groupEntry?.pointee.gr_gid ?? metadata.groupID
    }
}
