import RepoBase
import Repository
import Storage
import StorageRemote

/// What `--repo` names.
enum RepositoryLocation: Equatable {
    case directory(String)
    case remote(RemoteLocation)
    case sftp(SFTPLocation)

    /// Whether each question to it takes a request over a network.
    var isRemote: Bool {
        switch self {
        case .directory: false
        case .remote, .sftp: true
        }
    }

    /// Throws `.usage` for what this version cannot reach.
    init(parsing text: String) throws(RepoError) {
        guard let colon = text.firstIndex(of: ":") else {
            self = .directory(text)
            return
        }
        let scheme = text[..<colon]
        let rest = String(text[text.index(after: colon)...])
        switch scheme {
        case "file":
            // file:PATH and file://PATH; a host other than this one has no meaning.
            let path = rest.hasPrefix("//") ? String(rest.dropFirst(2)) : rest
            guard !path.isEmpty, !rest.hasPrefix("//") || path.hasPrefix("/") else {
                throw RepoError(
                    .usage, "'\(text)' names no directory", advice: "Write file:/path, or just the path.")
            }
            self = .directory(path)
        case "sftp": self = .sftp(try SFTPLocation(parsing: rest))
        default:
            if let location = try RemoteLocation(scheme: scheme, rest) {
                self = .remote(location)
                return
            }
            // A path may hold a colon.
            guard scheme.contains("/") || !rest.hasPrefix("//") else {
                throw RepoError(
                    .usage, "'\(text)' is of no known kind",
                    advice: "Name a directory, as in /srv/backup, or a bucket, as in s3://bucket/prefix.")
            }
            self = .directory(text)
        }
    }

    /// Stores that are reached over a network are tried again when they fail, and asked as much at once as they bear.
    /// - Parameter creating: for `init`, which makes the directory.
    func open(_ context: CommandContext, creating: Bool = false) throws -> any Store {
        if isRemote { LargeBlocks.returnAtOnce() }
        let store: any Store
        switch self {
        case .directory(let path):
            let local = try LocalStore(path: path, mustExist: !creating)
            guard local.isOnNetwork else { return local }
            store = local
        case .remote(let location):
            let console = context.console
            store = try context.paced(AdaptiveStore(try location.open(environment: { console.variable($0) })))
        case .sftp(let location):
            store = try context.paced(
                try SFTPStore(location, mustExist: !creating, command: context.console.variable("REPO_SSH_COMMAND")))
        }
        let retrying = RetryingStore(
            RoundedReadStore(store), policy: try Self.patience(context.console),
            onRetry: { error, wait in
                context.note("\(error.message); trying again in \(max(1, wait.components.seconds)) s")
            })
        return isRemote ? RereadingStore(retrying) : retrying
    }

    /// As it answers by itself, with pages of a listing so short that a few objects need several, and writers with connections of their own.
    func openForProbing(_ context: CommandContext, creating: Bool = false) throws -> any Store {
        switch self {
        case .directory(let path): return try LocalStore(path: path, mustExist: !creating)
        case .remote(let location):
            var options = RemoteOptions()
            options.pageKeys = 5
            options.pagesInTurn = 2
            let console = context.console
            return try location.open(environment: { console.variable($0) }, options: options)
        case .sftp(let location):
            var options = SFTPStore.Options()
            options.transferMinimum = 0
            return try SFTPStore(location, mustExist: !creating, command: context.console.variable("REPO_SSH_COMMAND"), options: options)
        }
    }

    /// How long a store that does not answer is waited for: `REPO_RETRY_SECONDS`, ten minutes by default. Throws `.usage`.
    private static func patience(_ console: Console) throws(RepoError) -> RetryPolicy {
        guard let text = console.variable("REPO_RETRY_SECONDS") else { return .standard }
        guard let seconds = UInt32(text), seconds <= 86_400 else {
            throw RepoError(.usage, "REPO_RETRY_SECONDS is '\(text)'", advice: "It is a number of seconds from 0 to 86400.")
        }
        return .standard.lasting(.seconds(Int(seconds)))
    }
}
