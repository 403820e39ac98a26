public import RepoBase
public import Storage

/// A directory behind an SFTP server, as a store: files and names as the local store has them, so that either can open what the other made.
///
/// An object is written under a temporary name, synchronised, and given its name in one step: `hardlink@openssh.com` fails where the name
/// exists (link(2) there), `posix-rename@openssh.com` replaces. The protocol's own rename is not used: OpenSSH's looks first and renames then
/// where a file system has no links. A server without the two is refused. Nothing is tried again here: that is `RetryingStore`'s affair.
public final class SFTPStore: Store {
    public let location: String
    let options: Options
    let clock: StoreClock
    let pool: SFTPPool
    /// The directory on the server.
    let root: String
    let mustExist: Bool
    let place = Monitor<Place?>(nil)
    /// Directories that were made durable.
    let durable = Monitor<Set<String>>([])

    public struct Options: Hashable, Sendable {
        /// Objects and ranges from so many bytes on take a connection that nothing else of their kind uses.
        public var transferMinimum = 1 << 20
        /// Requests of one transfer that are under way: with 255 KiB each as much as hides 80 ms at 100 MB/s.
        public var window = 32
        /// Directories that a listing reads at once.
        public var directories = 64
        /// How long an awaited answer may take.
        public var stall = Duration.seconds(120)

        public init() {}
    }

    /// What is known of the directory since it was found.
    struct Place: Hashable {
        /// Of its file system; nil where the server does not tell.
        var fileSystem: UInt64?
        /// Whether directories can be synchronised; by OpenSSH on Linux they can.
        var synchronisesDirectories = false
    }

    /// Connects to nothing yet.
    /// - Parameters:
    ///   - mustExist: when false, the directory and its parents are made where they are missing.
    ///   - command: instead of `ssh` (`SSHCommand`).
    public convenience init(
        _ location: SFTPLocation, mustExist: Bool, command: String?, options: Options = Options(), clock: StoreClock = .system
    ) throws(RepoError) {
        let words = try SSHCommand(location, command: command).words
        self.init(name: location.description, root: location.path, mustExist: mustExist, connections: location.connections, options: options, clock: clock) {
            () throws(SFTPFailure) in
            try SFTPSession(SFTPChannel(words), stall: options.stall) { .connecting($0, location) }
        }
    }

    init(
        name: String, root: String, mustExist: Bool, connections: Int, options: Options, clock: StoreClock,
        connect: @escaping @Sendable () throws(SFTPFailure) -> SFTPSession
    ) {
        location = name
        self.root = root
        self.mustExist = mustExist
        self.options = options
        self.clock = clock
        pool = SFTPPool(limit: connections, connect: connect)
    }

    deinit { pool.close() }

    /// The variables of the environment that decide how the server is reached, beside the location.
    public static let variables = ["REPO_SSH_COMMAND", "SSH_AUTH_SOCK"]

    func path(_ relative: String) -> String { relative.isEmpty ? root : root == "/" ? "/" + relative : "\(root)/\(relative)" }

    /// Runs `body` on a connection, once the store's directory was found; its failures are worded for people.
    func perform<R>(_ action: String, isTransfer: Bool = false, _ body: (SFTPSession, Place) throws -> R) throws -> R {
        do {
            return try pool.withSession(isTransfer: isTransfer) { session in try body(session, found(session)) }
        } catch let failure as SFTPFailure {
            throw failure.error(action, in: location)
        }
    }

    // MARK: - The directory

    /// Looks for the directory, the first time; others wait meanwhile.
    private func found(_ session: SFTPSession) throws -> Place {
        try place.withLock { place in
            if let place { return place }
            guard session.abilities.hasHardlink, session.abilities.hasRename else {
                throw SFTPFailure(
                    .failed, "the server has neither create-only nor replacing renames (hardlink@openssh.com, posix-rename@openssh.com), so writers would overwrite each other",
                    "Use an OpenSSH server.")
            }
            if !mustExist { try makeRoot(root, session) }
            guard case .attributes(let attributes) = try session.answer(.status(root)), attributes.isDirectory else {
                throw RepoError(
                    .noRepository, "there is no directory \(location)",
                    advice: "Check the path, mount its disk on the server, or make a repository there with 'repo init'.")
            }
            var found = Place()
            found.fileSystem = try fileSystem(session)?.identifier
            if session.abilities.hasSynchronise { found.synchronisesDirectories = try synchronise(root, session) == .done }
            place = found
            return found
        }
    }

    private func makeRoot(_ path: String, _ session: SFTPSession) throws {
        if case .attributes = try session.answer(.status(path)) { return }
        let parent = StorePath.parent(of: path)
        if !parent.isEmpty { try makeRoot(parent, session) }
        let made = try session.status(.makeDirectory(path))
        if made.code != SFTPStatus.ok, made.code != SFTPStatus.failure { throw made.failure }
        if session.abilities.hasSynchronise { _ = try synchronise(parent.isEmpty ? path.hasPrefix("/") ? "/" : "." : parent, session) }
    }

    func fileSystem(_ session: SFTPSession) throws(SFTPFailure) -> SFTPFileSystem? {
        guard session.abilities.hasFileSystem, case .extended(let bytes) = try session.answer(.fileSystem(root)) else { return nil }
        do throws(RepoError) { return try SFTPFileSystem(bytes) } catch { throw .broken(error.message) }
    }

    /// To be called where something was not found: the directory of a disk that was unmounted must not look like an empty repository.
    func requirePresence(_ session: SFTPSession, _ place: Place, _ action: String) throws {
        if let known = place.fileSystem {
            if let now = try fileSystem(session), now.identifier == known { return }
        } else if case .attributes(let attributes) = try session.answer(.status(root)), attributes.isDirectory {
            return
        }
        throw RepoError(
            .failed, "cannot \(action): the directory \(location) has been removed, moved or unmounted",
            advice: "Bring it back on the server (mount its disk), then run again.")
    }

    enum Synchronised { case done, absent, impossible }

    /// fsync(2) of a directory, which OpenSSH on Linux opens like a file.
    func synchronise(_ directory: String, _ session: SFTPSession) throws(SFTPFailure) -> Synchronised {
        switch try session.answer(.read(directory)) {
        case .handle(let handle): return try finish(handle, session) ? .done : .impossible
        case .status(let status): return status.isAbsence ? .absent : .impossible
        default: throw .broken("no handle where one is due")
        }
    }

    private func finish(_ handle: SFTPHandle, _ session: SFTPSession) throws(SFTPFailure) -> Bool {
        let synchronised = session.ask(.synchronise(handle))
        session.tell(.close(handle))
        return try session.status(of: synchronised).code == SFTPStatus.ok
    }

    /// For directories of the store; where they cannot be synchronised at all, it does nothing.
    /// - Parameter mayBeAbsent: after a deletion.
    func makeNamesDurable(in directory: String, _ session: SFTPSession, _ place: Place, mayBeAbsent: Bool) throws {
        guard place.synchronisesDirectories else { return }
        let result = try synchronise(path(directory), session)
        guard result == .done || mayBeAbsent && result == .absent else {
            throw SFTPFailure(.failed, "the server cannot synchronise the directory \(path(directory))", "Look for errors of the server's disk.")
        }
    }

    // MARK: - Reading

    /// One question.
    public func stat(_ key: StoreKey) throws -> StoredObject? {
        let action = "look for \(key)"
        return try perform(action) { session, place in
            switch try session.answer(.status(path(key.description))) {
            case .attributes(let attributes): return try object(key, attributes)
            case .status(let status) where status.isAbsence:
                try requirePresence(session, place, action)
                return nil
            case .status(let status): throw status.failure
            default: throw SFTPFailure.broken("no attributes where they are due")
            }
        }
    }

    /// Nil for what is no file.
    func object(_ key: StoreKey, _ attributes: SFTPAttributes) throws(SFTPFailure) -> StoredObject? {
        guard attributes.mode == nil || attributes.isRegularFile else { return nil }
        guard attributes.mode != nil, let size = attributes.size, let modified = attributes.modified else {
            throw SFTPFailure(.failed, "the server tells neither size nor kind of a file", "Use an OpenSSH server.")
        }
        return StoredObject(key: key, size: size, modified: Int64(modified))
    }

    /// Opens, and reads many parts at once.
    public func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let action = "read \(key)"
        return try perform(action, isTransfer: buffer.count >= options.transferMinimum) { session, place in
            let handle = try open(key, session, place, action)
            defer { session.tell(.close(handle)) }
            // Directories can be opened, too.
            let status = session.ask(.status(handle))
            // Beyond what file systems have; the server's offsets are signed.
            let isFar = offset > 1 << 62
            let result = Result { try isFar || buffer.isEmpty ? 0 : fill(buffer, from: handle, at: offset, session) }
            try requireFile(session.answer(to: status), key)
            return try result.get()
        }
    }

    private func open(_ key: StoreKey, _ session: SFTPSession, _ place: Place, _ action: String) throws -> SFTPHandle {
        switch try session.answer(.read(path(key.description))) {
        case .handle(let handle): return handle
        case .status(let status) where status.isAbsence:
            try requirePresence(session, place, action)
            throw StoreError.notFound(key, in: location)
        case .status(let status): throw status.failure
        default: throw SFTPFailure.broken("no handle where one is due")
        }
    }

    @discardableResult
    private func requireFile(_ answer: SFTPAnswer, _ key: StoreKey) throws -> UInt64 {
        switch answer {
        case .attributes(let attributes):
            guard let object = try object(key, attributes) else { throw StoreError.notFound(key, in: location) }
            return object.size
        case .status(let status): throw status.failure
        default: throw SFTPFailure.broken("no attributes where they are due")
        }
    }

    /// Returns the count: short at the file's end. Always waits for every answer, since they go to `buffer`.
    private func fill(
        _ buffer: UnsafeMutableRawBufferPointer, from handle: SFTPHandle, at offset: UInt64, _ session: SFTPSession
    ) throws(SFTPFailure) -> Int {
        var next = 0
        var end = buffer.count
        var failure: SFTPFailure?
        var parts: [(range: Range<Int>, ticket: SFTPSession.Ticket)] = []
        func ask(_ range: Range<Int>) -> (Range<Int>, SFTPSession.Ticket) {
            let destination = UnsafeMutableRawBufferPointer(rebasing: buffer[range])
            return (range, session.ask(.read(handle, offset + UInt64(range.lowerBound), range.count), into: destination))
        }
        while true {
            while parts.count < options.window, next < end {
                let range = next..<min(next + session.abilities.readBytes, end)
                parts.append(ask(range))
                next = range.upperBound
            }
            if parts.isEmpty { break }
            let (range, ticket) = parts.removeFirst()
            switch try session.answer(to: ticket) {
            // A server may give less than was asked for; only it knows whether more follows.
            case .data(let count):
                if count < range.count, range.lowerBound + count < end { parts.insert(ask(range.lowerBound + count..<range.upperBound), at: 0) }
            case .status(let status) where status.code == SFTPStatus.end: end = min(end, range.lowerBound)
            case .status(let status):
                failure = failure ?? status.failure
                end = min(end, range.lowerBound)
            default: failure = .broken("no data where it is due")
            }
        }
        if let failure { throw failure }
        return end
    }

    /// Opens; then the size and the beginning come at once, and the rest where there is more.
    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        let action = "read \(key)"
        return try perform(action) { session, place in
            let handle = try open(key, session, place, action)
            defer { session.tell(.close(handle)) }
            let status = session.ask(.status(handle))
            let first = min(limit, 32_768)
            let begin = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, first), alignment: 16)
            defer { begin.deallocate() }
            let ticket = first > 0 ? session.ask(.read(handle, 0, first), into: begin) : nil
            let size = Result { try requireFile(session.answer(to: status), key) }
            var count = 0
            if let ticket {
                switch try session.answer(to: ticket) {
                case .data(let got): count = got
                case .status(let status) where status.code != SFTPStatus.end:
                    _ = try size.get()
                    throw status.failure
                default: break
                }
            }
            let total = try size.get()
            guard total <= UInt64(limit) else { throw RepoError.damaged("\(key)", "it has \(total) bytes, more than \(limit)") }
            let whole = Int(total)
            return try [UInt8](unsafeUninitializedCapacity: whole) { buffer, filled in
                guard whole > 0 else { return }
                let buffer = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: whole)
                filled = min(count, whole)
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: begin[..<filled]))
                if filled < whole {
                    filled += try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]), from: handle, at: UInt64(filled), session)
                }
                guard filled == whole else { throw SFTPFailure(.failed, "it has \(filled) bytes, and \(whole) by its size", "Look for errors of the server's disk.") }
            }
        }
    }
}
