import RepoBase
import Storage

extension RemoteStore {
    /// One request for 1,000 objects. Where a listing is long, it goes on in several at once, one for each character that names go on with.
    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        guard StorageKeyGrammar.mayBegin(prefix) else { return }
        var told: Set<String> = []
        var continuation: String?
        for _ in 0..<max(1, options.pagesInTurn) {
            let page = try agreedPage(prefix, delimiter: nil, continuation: continuation)
            try tell(page, body)
            guard let next = try following(page, continuation, prefix) else { return }
            continuation = next
            told.formUnion(page.objects.map(\.key))
        }
        let characters = try followingCharacters(prefix)
        guard characters.count >= 4 else {
            while let token = continuation {
                let page = try agreedPage(prefix, delimiter: nil, continuation: token)
                try tell(page, body)
                continuation = try following(page, token, prefix)
            }
            return
        }
        // What was told already is told again by the others: no store promises an order that would tell where to go on.
        try listAtOnce(characters.map { prefix + String($0) }) { page in
            try tell(page) { if !told.contains(self.path($0.key)) { try body($0) } }
        }
    }

    public func folders(in folder: String) throws -> [String] {
        guard folder.isEmpty || StorageKeyGrammar.allows(folder[...]) else { return [] }
        let prefix = folder.isEmpty ? "" : folder + "/"
        var names: Set<String> = []
        var continuation: String?
        repeat {
            let page = try agreedPage(prefix, delimiter: "/", continuation: continuation)
            for found in page.folders {
                let path = try relative(found).dropLast()
                if StorageKeyGrammar.allows(path) { names.insert(String(path.dropFirst(prefix.utf8.count))) }
            }
            continuation = try following(page, continuation, prefix)
        } while continuation != nil
        return Array(names)
    }

    // MARK: - Pages

    /// A server that names the same place again would be asked for ever.
    private func following(_ page: ListPage, _ asked: String?, _ prefix: String) throws(RepoError) -> String? {
        guard page.continuation == nil || page.continuation != asked else {
            throw RepoError(
                .failed, "cannot list '\(prefix)' in \(location): the server begins the same page again", advice: "Run 'repo storage probe'.")
        }
        return page.continuation
    }

    /// Names that are no keys, such as other programs' files, are passed over.
    private func tell(_ page: ListPage, _ body: (StoredObject) throws -> Void) throws {
        for object in page.objects {
            guard let key = StoreKey(checking: String(try relative(object.key))) else { continue }
            try body(StoredObject(key: key, size: object.size ?? 0, modified: object.modified ?? 0, availability: object.isArchived ? .archived : .ready))
        }
    }

    private func relative(_ name: String) throws(RepoError) -> Substring {
        guard name.utf8.starts(with: prefix.utf8) else {
            throw RepoError(
                .failed, "cannot list \(location): the server told '\(name)', which is elsewhere", advice: "Run 'repo storage probe'.")
        }
        return name[name.utf8.index(name.startIndex, offsetBy: prefix.utf8.count)...]
    }

    /// What names go on with behind the prefix, as far as one request tells; none where it does not tell all.
    private func followingCharacters(_ prefix: String) throws -> Set<Character> {
        let page = try agreedPage(prefix, delimiter: "/", continuation: nil)
        guard page.continuation == nil else { return [] }
        let names = page.folders + page.objects.map(\.key)
        return Set(try names.compactMap { try relative($0).dropFirst(prefix.utf8.count).first })
    }

    /// `body` runs on the caller's thread. The first failure ends it all.
    private func listAtOnce(_ prefixes: [String], _ body: (ListPage) throws -> Void) throws {
        let left = Monitor(prefixes)
        let pages = BoundedQueue<Result<ListPage, RepoError>>(limit: options.listThreads)
        let running = Monitor(min(options.listThreads, prefixes.count))
        let threads = (0..<min(options.listThreads, prefixes.count)).map { _ in
            WorkerThread {
                while let prefix = left.withLock({ $0.popLast() }), self.push(prefix, to: pages) {}
                if running.withLock({ count in
                    count -= 1
                    return count == 0
                }) { pages.close() }
            }
        }
        defer {
            pages.close()
            for thread in threads { thread.join() }
        }
        while let page = pages.pop() { try body(page.get()) }
    }

    /// All pages of a prefix; false when nobody takes them any more.
    private func push(_ prefix: String, to pages: BoundedQueue<Result<ListPage, RepoError>>) -> Bool {
        var continuation: String?
        repeat {
            do throws(RepoError) {
                let page = try agreedPage(prefix, delimiter: nil, continuation: continuation)
                guard pages.push(.success(page)) else { return false }
                continuation = try following(page, continuation, prefix)
            } catch {
                pages.push(.failure(error))
                return false
            }
        } while continuation != nil
        return true
    }
}
