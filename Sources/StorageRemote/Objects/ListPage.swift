import RepoBase

/// One answer to a request for a listing.
struct ListPage: Equatable {
    struct Object: Equatable {
        /// In the bucket, with the prefix.
        var key = ""
        var size: UInt64?
        var modified: Int64?
        /// In a class of storage from which it has to be brought back first.
        var isArchived = false
    }

    var objects: [Object] = []
    /// Common prefixes, with the delimiter at their ends.
    var folders: [String] = []
    /// Nil at the end.
    var continuation: String?

    static func wrong(_ why: String) -> RepoError {
        RepoError(.failed, "the server's listing cannot be used: \(why)", advice: "Run 'repo storage probe' on this store.")
    }

    /// Runs a reader of XML; what does not parse may do so the next time.
    static func parsing(_ body: () throws -> Void) throws(RepoError) {
        do {
            try body()
        } catch let malformed as XMLScanner.Malformed {
            throw RepoError(.unreachable, "the listing does not parse: \(malformed.why), at byte \(malformed.offset)", advice: "Try again.")
        } catch let error as RepoError {
            throw error
        } catch {
            throw RepoError(.failed, "\(error)")
        }
    }
}
