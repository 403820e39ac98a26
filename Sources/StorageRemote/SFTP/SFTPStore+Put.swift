import RepoBase
public import Storage

extension SFTPStore {
    /// Costs four turns to the server for what it takes at once, and two more for each directory that is new to this process.
    ///
    /// A failure after the name was given leaves an object that may not be durable, and one before a temporary file, which listings skip
    /// and `removeAbandonedPuts` finds.
    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        let action = "store \(key)"
        try perform(action, isTransfer: bytes.count >= options.transferMinimum) { session, place in
            let directory = StorePath.parent(of: key.description)
            try ensureDirectory(directory, session, place, action)
            let temporary = path(StorePath.temporary(in: directory))
            var answer = try session.answer(.create(temporary))
            if case .status(let status) = answer, status.isAbsence {
                // Somebody removed a directory that this process had made, or unmounted all: once more, from the top.
                durable.withLock { $0 = [] }
                try requirePresence(session, place, action)
                try ensureDirectory(directory, session, place, action)
                answer = try session.answer(.create(temporary))
            }
            let handle: SFTPHandle
            switch answer {
            case .handle(let opened): handle = opened
            case .status(let status): throw try isFull(status, 0, session)
            default: throw SFTPFailure.broken("no handle where one is due")
            }
            do {
                try write(bytes, to: handle, session)
                try publish(temporary, as: key, mode, session, place)
            } catch {
                if mode == .create || !(error is SFTPFailure) || !session.isBroken { session.tell(.remove(temporary)) }
                throw error
            }
            if mode == .create { session.tell(.remove(temporary)) }
            try makeNamesDurable(in: directory, session, place, mayBeAbsent: false)
        }
    }

    /// Writes many parts at once, synchronises and closes: a server answers what concerns one file in order (section 6.1).
    private func write(_ bytes: UnsafeRawBufferPointer, to handle: SFTPHandle, _ session: SFTPSession) throws(SFTPFailure) {
        var tickets: [SFTPSession.Ticket] = []
        var offset = 0
        var failed: SFTPStatus?
        while true {
            while tickets.count < options.window, offset < bytes.count, failed == nil {
                let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<min(offset + session.abilities.writeBytes, bytes.count)])
                tickets.append(session.ask(.write(handle, UInt64(offset), part.count), data: part))
                offset += part.count
            }
            if tickets.isEmpty { break }
            let status = try session.status(of: tickets.removeFirst())
            if status.code != SFTPStatus.ok { failed = failed ?? status }
        }
        let synchronised = failed == nil && session.abilities.hasSynchronise ? session.ask(.synchronise(handle)) : nil
        // Some file servers report an exceeded quota only here.
        let closed = session.ask(.close(handle))
        for ticket in [synchronised, closed].compactMap({ $0 }) {
            let status = try session.status(of: ticket)
            if status.code != SFTPStatus.ok { failed = failed ?? status }
        }
        if let failed { throw try isFull(failed, bytes.count, session) }
    }

    /// SFTP has no word for a full disk; its free space tells.
    private func isFull(_ status: SFTPStatus, _ count: Int, _ session: SFTPSession) throws(SFTPFailure) -> SFTPFailure {
        guard status.code == SFTPStatus.failure, let system = try fileSystem(session), system.available < UInt64(count) + 1 << 20 else { return status.failure }
        return SFTPFailure(
            .storeFull, "no space is left there (\(system.available) bytes)", "Free space on the server, or forget and prune snapshots; nothing partial was kept.")
    }

    private func publish(_ temporary: String, as key: StoreKey, _ mode: PutMode, _ session: SFTPSession, _ place: Place) throws {
        let target = path(key.description)
        if mode == .replace {
            let renamed = try session.status(.rename(temporary, target))
            guard renamed.code == SFTPStatus.ok else { throw renamed.failure }
            return
        }
        for _ in 0..<16 {
            let linked = try session.status(.hardlink(temporary, target))
            if linked.code == SFTPStatus.ok { return }
            // Version 3 has no word for a name that exists.
            guard case .attributes = try session.answer(.linkStatus(target)) else {
                if linked.code == SFTPStatus.failure, try lastFailureWasOfAnother(target, session) { continue }
                throw linked.code == SFTPStatus.failure
                    ? SFTPFailure(
                        .failed, "the server cannot give a file a second name (\(linked.message))",
                        "Create-only puts need hard links: use a file system on the server that has them.")
                    : linked.failure
            }
            // Perhaps the winner has not come to that yet, or was ourselves before a connection broke.
            try makeNamesDurable(in: StorePath.parent(of: key.description), session, place, mayBeAbsent: true)
            throw StoreError.conflict(key, in: location)
        }
        throw SFTPFailure(.unreachable, "others keep creating and deleting it", "Run again.")
    }

    /// The name was taken when a link to it failed, and is free when it is looked for: either somebody deleted it in between, which a
    /// probe of the server's ability with a name of our own tells from a server that has no links.
    private func lastFailureWasOfAnother(_ target: String, _ session: SFTPSession) throws -> Bool {
        let directory = StorePath.parent(of: target)
        let first = StorePath.temporary(in: directory), second = StorePath.temporary(in: directory)
        guard case .handle(let handle) = try session.answer(.create(first)) else { return false }
        session.tell(.close(handle))
        let linked = try session.status(.hardlink(first, second))
        session.tell(.remove(first))
        session.tell(.remove(second))
        return linked.code == SFTPStatus.ok
    }

    /// Makes the directory and its parents where they are missing. Each is made durable once per process, also when it was there: another
    /// process may have made it a moment ago.
    func ensureDirectory(_ directory: String, _ session: SFTPSession, _ place: Place, _ action: String) throws {
        guard !directory.isEmpty, !durable.withLock({ $0.contains(directory) }) else { return }
        let parent = StorePath.parent(of: directory)
        if parent.isEmpty { try requirePresence(session, place, action) }
        try ensureDirectory(parent, session, place, action)
        let made = session.ask(.makeDirectory(path(directory)))
        let look = session.ask(.status(path(directory)))
        let (status, found) = (try session.status(of: made), try session.answer(to: look))
        guard status.code == SFTPStatus.ok || found.isDirectory else {
            if case .attributes = found {
                throw SFTPFailure(.failed, "a file stands where the directory \(path(directory)) is needed", "Name the repository's own directory.")
            }
            throw try isFull(status, 0, session)
        }
        try makeNamesDurable(in: parent, session, place, mayBeAbsent: false)
        durable.withLock { _ = $0.insert(directory) }
    }

    /// Synchronises the object's directory, and those above that this process does not know to be durable.
    public func makeDurable(_ key: StoreKey) throws {
        let action = "store \(key)"
        try perform(action) { session, place in
            var directory = StorePath.parent(of: key.description)
            try makeNamesDurable(in: directory, session, place, mayBeAbsent: true)
            while !directory.isEmpty, !durable.withLock({ $0.contains(directory) }) {
                directory = StorePath.parent(of: directory)
                try makeNamesDurable(in: directory, session, place, mayBeAbsent: true)
            }
        }
    }

    public func delete(_ key: StoreKey) throws { try delete([key]) }

    /// Many at once, then each directory once.
    public func delete(_ keys: [StoreKey]) throws {
        guard let first = keys.first else { return }
        let action = keys.count == 1 ? "delete \(first)" : "delete \(keys.count) objects, \(first) among them,"
        try perform(action) { session, place in
            var rest = keys[...]
            var failed: SFTPStatus?
            var isMissing = false
            while !rest.isEmpty {
                let tickets = rest.prefix(options.directories).map { session.ask(.remove(path($0.description))) }
                rest = rest.dropFirst(options.directories)
                for ticket in tickets {
                    let status = try session.status(of: ticket)
                    if status.isAbsence { isMissing = true } else if status.code != SFTPStatus.ok { failed = failed ?? status }
                }
            }
            if let failed { throw failed.failure }
            if isMissing { try requirePresence(session, place, action) }
            // Also where it was absent: another process may have removed it and not yet made that durable.
            for directory in Set(keys.map { StorePath.parent(of: $0.description) }) {
                try makeNamesDurable(in: directory, session, place, mayBeAbsent: true)
            }
        }
    }
}

extension SFTPAnswer {
    var isDirectory: Bool {
        if case .attributes(let attributes) = self { attributes.isDirectory } else { false }
    }
}
