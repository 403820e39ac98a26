/// Exit statuses that are not errors'; those of errors are in `RepoError.Code`.
enum ExitStatus {
    static let done: Int32 = 0
    /// A wrong command line or configuration.
    static let usage: Int32 = 2
    /// Done, but something of the source could not be read.
    static let incomplete: Int32 = 3
    /// `wal get`: the archive does not have the file.
    static let absent: Int32 = 1
    /// `wal get`: any failure. Above 125, so that PostgreSQL does not take it for the end of the log.
    static let notTheEndOfTheLog: Int32 = 126
    static let interrupted: Int32 = 130
    /// 128 + SIGPIPE: whoever read our output went away.
    static let readerGone: Int32 = 141
}
