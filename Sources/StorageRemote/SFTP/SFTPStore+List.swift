import RepoBase
public import Storage

extension SFTPStore {
    private enum Found {
        case object(StoredObject)
        case temporary(String, SFTPAttributes)
    }

    /// Reads many directories at once; what is in them comes with their entries, so objects cost nothing more.
    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        guard let (directory, begin) = StorePath.start(of: prefix) else { return }
        let action = "list '\(prefix)'"
        // Those that are read at once are kept in memory, so `body` may use the store.
        var waiting = [directory]
        var isFirst = true
        while !waiting.isEmpty {
            let batch = Array(waiting.suffix(options.directories))
            waiting.removeLast(batch.count)
            let read = try perform(action) { session, place in try entries(of: batch, session, place, action) }
            for (directory, names) in zip(batch, read) {
                for entry in names where !isFirst || entry.name.utf8.starts(with: begin.utf8) {
                    guard let key = StoreKey(checking: StorePath.joined(directory, entry.name)) else { continue }
                    if entry.attributes.isDirectory {
                        waiting.append(key.description)
                    } else if let object = try perform(action, { _, _ in try object(key, entry.attributes) }) {
                        try body(object)
                    }
                }
            }
            isFirst = false
        }
    }

    /// Reads one directory. Empty folders are named too.
    public func folders(in folder: String) throws -> [String] {
        guard folder.isEmpty || StoreKey(checking: folder) != nil else { return [] }
        let action = "list '\(folder)'"
        return try perform(action) { session, place in
            try entries(of: [folder], session, place, action)[0].filter { entry in
                entry.attributes.isDirectory && StoreKey(checking: StorePath.joined(folder, entry.name)) != nil
            }.map(\.name)
        }
    }

    /// As `LocalStore`'s. How old a file is, the server's own clock tells: by a file that is made for it.
    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int {
        let action = "look for what is left of broken puts"
        return try perform(action) { session, place in
            let oldest = try serverTime(session) - age.components.seconds
            var count = 0
            var waiting = [""]
            while !waiting.isEmpty {
                let batch = Array(waiting.suffix(options.directories))
                waiting.removeLast(batch.count)
                for (directory, names) in zip(batch, try entries(of: batch, session, place, action)) {
                    for entry in names {
                        let path = StorePath.joined(directory, entry.name)
                        if entry.attributes.isDirectory, StoreKey(checking: path) != nil { waiting.append(path) }
                        guard entry.name.hasPrefix(StorePath.temporaryPrefix), entry.attributes.isRegularFile,
                            let modified = entry.attributes.modified, Int64(modified) < oldest
                        else { continue }
                        let status = try session.status(.remove(self.path(path)))
                        guard status.code == SFTPStatus.ok || status.isAbsence else { throw status.failure }
                        if status.code == SFTPStatus.ok { count += 1 }
                    }
                }
            }
            return count
        }
    }

    private func serverTime(_ session: SFTPSession) throws -> Int64 {
        let path = path(StorePath.temporary(in: ""))
        switch try session.answer(.create(path)) {
        case .handle(let handle):
            let look = session.ask(.status(handle))
            session.tell(.close(handle))
            session.tell(.remove(path))
            guard case .attributes(let attributes) = try session.answer(to: look), let modified = attributes.modified else {
                throw SFTPFailure.broken("no time of a file")
            }
            return Int64(modified)
        case .status(let status): throw status.failure
        default: throw SFTPFailure.broken("no handle where one is due")
        }
    }

    // MARK: - Directories

    /// More is no directory of a repository, but a server that never ends.
    private static let mostEntries = 20_000_000

    /// What is in each; nothing where it is absent. `.` and `..` are left out, and links are followed.
    private func entries(of directories: [String], _ session: SFTPSession, _ place: Place, _ action: String) throws -> [[SFTPName]] {
        let limit = session.abilities.handles > 0 ? max(1, min(options.directories, session.abilities.handles / 4)) : options.directories
        var result: [[SFTPName]] = []
        var rest = directories[...]
        while !rest.isEmpty {
            result += try someEntries(of: Array(rest.prefix(limit)), session, place, action)
            rest = rest.dropFirst(limit)
        }
        return result
    }

    private func someEntries(of directories: [String], _ session: SFTPSession, _ place: Place, _ action: String) throws -> [[SFTPName]] {
        var handles: [SFTPHandle?] = []
        var found = [[SFTPName]](repeating: [], count: directories.count)
        // A hostile server does not leave directories open with us; ours are closed whatever happens.
        defer { for handle in handles.compactMap({ $0 }) { session.tell(.close(handle)) } }
        var isMissing = false
        var refused: SFTPStatus?
        for ticket in directories.map({ session.ask(.openDirectory(path($0))) }) {
            switch try session.answer(to: ticket) {
            case .handle(let handle): handles.append(handle)
            case .status(let status):
                handles.append(nil)
                if status.isAbsence { isMissing = true } else { refused = refused ?? status }
            default: throw SFTPFailure.broken("no handle where one is due")
            }
        }
        if let refused {
            // A file where a directory was asked for: OpenSSH says the same of it as of an absent one, others do not.
            throw refused.failure
        }
        if isMissing { try requirePresence(session, place, action) }
        var open = handles.indices.filter { handles[$0] != nil }
        // Two questions for each: a short directory ends with the second.
        var turns = 2
        while !open.isEmpty {
            let asked = open.map { index in (index, (0..<turns).map { _ in session.ask(.readDirectory(handles[index]!)) }) }
            var ended: Set<Int> = []
            for (index, tickets) in asked {
                for ticket in tickets {
                    switch try session.answer(to: ticket) {
                    case .names(let names):
                        guard !names.isEmpty, found[index].count < Self.mostEntries else { throw SFTPFailure.broken("a directory without an end") }
                        found[index] += names.filter { $0.name != "." && $0.name != ".." }
                    case .status(let status) where status.code == SFTPStatus.end: ended.insert(index)
                    case .status(let status): throw status.failure
                    default: throw SFTPFailure.broken("no names where they are due")
                    }
                }
            }
            open.removeAll { ended.contains($0) }
            turns = min(turns * 2, 16)
        }
        try resolve(&found, directories, session)
        return found
    }

    /// Looks at what symbolic links lead to, and at what the server did not tell enough of.
    private func resolve(_ found: inout [[SFTPName]], _ directories: [String], _ session: SFTPSession) throws {
        for index in found.indices {
            let unclear = found[index].indices.filter { found[index][$0].attributes.isUnclear }
            var rest = unclear[...]
            while !rest.isEmpty {
                let some = rest.prefix(options.directories)
                rest = rest.dropFirst(some.count)
                let tickets = some.map { session.ask(.status(path(StorePath.joined(directories[index], found[index][$0].name)))) }
                for (position, ticket) in zip(some, tickets) {
                    let name = found[index][position].name
                    switch try session.answer(to: ticket) {
                    case .attributes(let attributes): found[index][position] = SFTPName(name: name, attributes: attributes)
                    // It went, or leads nowhere.
                    case .status(let status) where status.isAbsence:
                        found[index][position] = SFTPName(name: name, attributes: SFTPAttributes(size: 0, mode: 0, modified: 0))
                    case .status(let status): throw status.failure
                    default: throw SFTPFailure.broken("no attributes where they are due")
                    }
                }
            }
        }
    }
}

extension SFTPStore: DescribedStore {
    public func setUp() throws -> [StoreFinding] {
        try perform("look at the server") { session, place in
            var findings: [StoreFinding] = []
            let abilities = session.abilities
            if abilities.hasSynchronise, place.synchronisesDirectories {
                findings.append(StoreFinding("durability", .proven, "files and directories are synchronised (fsync@openssh.com)"))
            } else {
                let what = abilities.hasSynchronise ? "directories cannot be synchronised" : "nothing can be synchronised (no fsync@openssh.com)"
                findings.append(StoreFinding("durability", .warning, "\(what): a crash of the server may lose what was stored in its last seconds"))
            }
            if let system = try fileSystem(session) {
                findings.append(StoreFinding("free space", .noted, "\(ByteCount.describe(system.available)) free on the server"))
            } else {
                findings.append(StoreFinding("free space", .unknown, "the server does not tell (no statvfs@openssh.com)"))
            }
            findings.append(
                StoreFinding("requests", .noted, "\(abilities.readBytes) bytes read and \(abilities.writeBytes) written at once, \(options.window) under way"))
            return findings
        }
    }
}
