import RepoBase
import Storage

/// What `--repo` names.
enum RepositoryLocation: Equatable {
    case directory(String)

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
        case "s3", "azblob", "gs", "sftp":
            throw RepoError(
                .usage, "'\(text)': repositories at \(scheme): are not in this version",
                advice: "Name a directory of this machine, or of a file server that it has mounted.")
        default:
            // A path may hold a colon.
            guard scheme.contains("/") || !rest.hasPrefix("//") else {
                throw RepoError(
                    .usage, "'\(text)' is of no known kind",
                    advice: "Name a directory, as in /srv/backup or file:/srv/backup.")
            }
            self = .directory(text)
        }
    }

    /// - Parameter creating: for `init`, which makes the directory.
    func open(creating: Bool = false) throws -> any Store {
        switch self {
        case .directory(let path): try LocalStore(path: path, mustExist: !creating)
        }
    }
}
