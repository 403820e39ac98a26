import BlobEngine
public import PostgresFormats
public import RepoBase
import Repository
import Storage

extension WALArchive {
    /// What became of files that were to be archived.
    public enum Stored: Hashable, Sendable {
        /// They are durable now; so many bytes were put.
        case new(bytes: Int)
        /// They were there with the same content, and are durable.
        case alreadyThere
    }

    /// Stores files of the log in one object and returns once they are durable: one file, or a batch of consecutive segments.
    ///
    /// Where one of these files is in the archive with the same content, that is as good, and it is not stored again. With other content this
    /// throws `.conflict`, and nothing is overwritten; a file found damaged throws `.damaged`. Looks before and after the put, so that of two
    /// processes that store a file under different names (alone, and in a batch) at least one learns of it.
    ///
    /// - Parameter object: nil for the name that the files call for.
    @discardableResult
    public func store(
        _ files: [WALFile], system: UInt64, segmentSize: WALSegmentSize?, as object: WALObjectName? = nil,
        stamp: WALStamp = .now(), threads: Int = availableProcessors()
    ) throws -> Stored {
        try store(WALFileSource(files), system: system, segmentSize: segmentSize, as: object, stamp: stamp, threads: threads)
    }

    /// The same of files that are loaded one by one.
    func store(
        _ files: WALFileSource, system: UInt64, segmentSize: WALSegmentSize?, as object: WALObjectName? = nil,
        stamp: WALStamp = .now(), threads: Int = availableProcessors()
    ) throws -> Stored {
        let name = try object ?? Self.name(for: files.names)
        let key = name.key(systemIdentifier: system)
        var identities = Identities(files, hasher)
        if try compare(name, identities, system: system) { return seen(name, key, .alreadyThere) }
        let writer = WALObjectWriter(keys: repository.keys, hasher: hasher, threads: threads)
        let sealed = try writer.seal(
            files, key: key, segmentSize: segmentSize, stored: stamp.time, host: stamp.host)
        identities.known = Dictionary(uniqueKeysWithValues: sealed.description.files.map { ($0.name, $0.identity) })
        do {
            try withExtendedLifetime(sealed.bytes) { try store.put(key, sealed.bytes.bytes, .create) }
        } catch let error as RepoError where error.code == .conflict {
            // Somebody was faster, or an earlier put had worked and its answer was lost.
            guard try compare(name, identities, system: system) else { throw error }
            return seen(name, key, .alreadyThere)
        }
        _ = try compare(name, identities, system: system, except: name)
        return seen(name, key, .new(bytes: sealed.bytes.count))
    }

    /// Whole segments are remembered, so that this machine notices where they are hidden.
    private func seen(_ name: WALObjectName, _ key: StoreKey, _ stored: Stored) -> Stored {
        if let last = name.lastDigits { repository.freshness?.archived(key, last: last) }
        return stored
    }

    /// Whether each of the files is in the archive with the same content, and durable. Throws as `store` does.
    public func holds(_ files: [WALFile], system: UInt64) throws -> Bool {
        try compare(try Self.name(for: files.map(\.name)), Identities(WALFileSource(files), hasher), system: system)
    }

    /// The object's name that these files call for. Throws `.usage` for files that do not belong into one object.
    static func name(for files: [String]) throws(RepoError) -> WALObjectName {
        if files.count == 1, let file = ArchivedFile(name: files[0]) { return .file(file) }
        if files.count > 1, files.count <= WALObjectName.batchLimit, let name = WALObjectName("\(files[0])-\(files.last!)") { return name }
        throw RepoError(.usage, "\(files.joined(separator: ", ")) cannot be archived in one object")
    }

    /// Whether each of the files is in the archive with the same content, and durable. False as soon as one is not there at all; `.conflict`
    /// for one with other content, wherever it stands.
    /// - Parameter except: not looked into.
    private func compare(
        _ name: WALObjectName, _ identities: Identities, system: UInt64, except: WALObjectName? = nil
    ) throws -> Bool {
        var holders: [WALObjectName: [String]] = [:]
        var isMissing = false
        if let first = name.segment, case .segment = ArchivedFile(name: identities.files.names[0]), !name.isReceived {
            let folder = try names(around: first, system: system)
            for file in identities.files.names {
                let found = folder.objects(holding: file)
                if found.isEmpty { isMissing = true }
                for holder in found where holder != except { holders[holder, default: []].append(file) }
            }
        } else if try store.stat(name.key(systemIdentifier: system)) == nil {
            return false
        } else if name != except {
            holders[name] = identities.files.names
        }
        for (holder, names) in holders.sorted(by: { $0.key.name < $1.key.name }) {
            let reader: WALObjectReader
            do {
                reader = try open(holder, system: system)
            } catch let error as RepoError where error.code == .notFound {
                isMissing = true  // A prune took it since.
                continue
            } catch let error as RepoError where error.code == .damaged {
                throw RepoError(
                    error.code, error.message,
                    advice: "It stands in the way of this file. 'repo repair wal \(holder.name)' moves it aside; then this can be archived.")
            }
            for name in names {
                let there = reader.description.files[try reader.place(of: name)]
                guard there.identity == (try identities.identity(of: name)) else {
                    throw Self.conflict(name, in: reader.description, there.length)
                }
            }
            try store.makeDurable(reader.description.key)
        }
        return !isMissing
    }

    private static func conflict(_ name: String, in there: WALObjectDescription, _ length: Int) -> RepoError {
        RepoError(
            .conflict,
            "\(name) is in the archive with other content (\(there.key), stored at \(there.stored.seconds) by \(there.host)): nothing was overwritten",
            advice: "Two servers archive into one place, or this one was restored and writes its old timeline again. "
                + "Find out which, before the log is lost: see 'repo wal status'.")
    }
}

extension WALObjectName {
    /// Bytes of a segment that had been received; 0 for others.
    var receivedLength: UInt64 {
        if case .received(_, let length) = self { return UInt64(length) }
        return 0
    }

    /// The last sixteen digits of the last whole segment's name, as a number; nil where it holds none.
    var lastDigits: UInt64? {
        switch self {
        case .file(.segment(let name)), .batch(_, let name): UInt64(name.suffix(16), radix: 16)
        case .file, .received: nil
        }
    }

    var isBatch: Bool {
        if case .batch = self { return true }
        return false
    }

    var isReceived: Bool {
        if case .received = self { return true }
        return false
    }
}

/// The identities of files, each computed when it is asked for, unless it is known.
private struct Identities {
    let files: WALFileSource
    private let hasher: ContentHasher
    var known: [String: Hash256] = [:]

    init(_ files: WALFileSource, _ hasher: ContentHasher) {
        self.files = files
        self.hasher = hasher
    }

    func identity(of name: String) throws -> Hash256 {
        if let identity = known[name] { return identity }
        let content = try files.content(files.names.firstIndex(of: name)!)
        return withExtendedLifetime(content) { hasher.identity(content.bytes) }
    }
}
