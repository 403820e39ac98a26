import RepoBase

extension RemoteStore {
    /// A page that nothing has altered on the way.
    ///
    /// What an object holds proves itself; a listing does not, and nothing protects one that comes by plain `http:` but checksums of 16 bits. A name
    /// with a bit flipped hides an object, which may be a snapshot, a hold or a writer. So there it is asked for until two answers agree, twice as a
    /// rule. Where others write all the time no two may agree; then the last counts.
    func agreedPage(_ prefix: String, delimiter: String?, continuation: String?) throws(RepoError) -> ListPage {
        var pages: [ListPage] = []
        var failures = 0
        while pages.count < 6 {
            do throws(RepoError) {
                let next = try page(prefix, delimiter: delimiter, continuation: continuation)
                guard options.listsTwice ?? connection.isUnprotected, !pages.contains(next) else { return next }
                pages.append(next)
            } catch {
                // An answer that makes no sense may have made some when it was sent.
                failures += 1
                guard error.code == .failed, failures < 5, options.listsTwice ?? connection.isUnprotected else { throw error }
            }
        }
        // Some servers tell another place to go on at each time.
        let last = pages.removeLast()
        return pages.last { $0.objects == last.objects && $0.folders == last.folders && ($0.continuation == nil) == (last.continuation == nil) } ?? last
    }
}
