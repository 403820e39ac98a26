import Glibc
import RepoBase

/// What a local store was doing, for its errors.
enum LocalStoreAction {
    case store(StoreKey)
    case read(StoreKey)
    case delete(StoreKey)
    case list(String)
    case inspect(String)
    case open
    case clean(String)

    fileprivate var phrase: String {
        switch self {
        case .store(let key): "cannot store \(key)"
        case .read(let key): "cannot read \(key)"
        case .delete(let key): "cannot delete \(key)"
        case .list(let directory): "cannot list \(directory.isEmpty ? "the top directory" : directory)"
        case .inspect(let path): "cannot look at \(path)"
        case .open: "cannot open the store"
        case .clean(let path): "cannot remove \(path)"
        }
    }
}

extension StoreError {
    /// The error of a system call that failed with `number`.
    /// - Parameter isOnNetwork: an error of input or output is then most often a server that did not answer in time (a `soft` mount).
    static func local(
        _ action: LocalStoreAction, _ call: LocalStoreCall, _ number: CInt, in location: String, isOnNetwork: Bool = false
    ) -> RepoError {
        let (code, advice) = consequence(of: isOnNetwork && number == EIO ? ETIMEDOUT : number, location)
        let cause = "\(String(cString: strerror(number))) (\(call.rawValue))"
        return RepoError(code, "\(action.phrase) in \(location): \(cause)", advice: advice)
    }

    /// The directory that was opened is no longer what its path names.
    static func vanished(_ action: LocalStoreAction, _ location: String) -> RepoError {
        RepoError(
            .failed, "\(action.phrase): the directory \(location) has been removed, moved or unmounted",
            advice: "Bring the directory back (mount its disk), then run again.")
    }

    private static func consequence(of number: CInt, _ location: String) -> (RepoError.Code, String) {
        switch number {
        case ENOSPC:
            (
                .storeFull,
                "Free space on the disk of \(location), or forget and prune snapshots; nothing partial was kept."
            )
        case EDQUOT:
            (
                .storeFull,
                "Raise this user's disk quota, or forget and prune snapshots; nothing partial was kept."
            )
        case EROFS: (.failed, "The file system is mounted read-only: remount it for writing, then run again.")
        case EACCES, EPERM:
            (.failed, "Run as the user who owns \(location), or give user id \(geteuid()) access to it.")
        case EIO, ENXIO, ENODEV:
            (.failed, "Look for errors of the disk in the kernel's log (dmesg), then run 'repo check'.")
        case ESTALE, ETIMEDOUT, ENOTCONN, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ECONNRESET,
            ECONNREFUSED, ECONNABORTED, EPIPE, EAGAIN, EREMOTEIO:
            (.unreachable, "Check that the network file system is mounted and its server is up.")
        case EMFILE, ENFILE: (.failed, "Raise the limit of open files (ulimit -n), then run again.")
        case ENOMEM: (.failed, "Free memory on this machine, then run again.")
        case EFBIG: (.failed, "The file system or 'ulimit -f' forbids files of this size.")
        case ENOTDIR: (.failed, "A file stands where a directory is needed; name the repository's directory.")
        default: (.failed, "")
        }
    }
}
