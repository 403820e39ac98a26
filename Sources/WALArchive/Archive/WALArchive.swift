import BlobEngine
public import PostgresFormats
public import RepoBase
public import Repository
import Storage

/// The log of the clusters that a repository keeps: which objects hold a file, what they say of it, and its content.
///
/// Holds no state but keys: every call asks the store. Safe to use from several threads.
public struct WALArchive: Sendable {
    public let repository: OpenRepository
    let hasher: ContentHasher

    public init(_ repository: OpenRepository) {
        self.repository = repository
        hasher = ContentHasher(idSecret: repository.keys.idSecret, info: WALObjectFrame.identityInfo)
    }

    var store: any Store { repository.store }

    // MARK: What is there

    /// The system identifiers of the clusters whose log is kept, ascending. One request.
    public func systems() throws -> [UInt64] {
        try store.folders(in: "wal").compactMap { name in UInt64(name).flatMap { String($0) == name ? $0 : nil } }.sorted()
    }

    /// The objects of one stretch of the log: those that share the first 16 digits of `segment`. One request.
    func names(around segment: String, system: UInt64) throws -> LogFolder {
        var names: [WALObjectName] = []
        try store.listKeys(WALObjectName.logFolder(systemIdentifier: system, segment: segment)) { key in
            if let parsed = WALObjectName.parse(key) { names.append(parsed.name) }
        }
        return LogFolder(names)
    }

    /// The objects that hold a whole file, more than one where it was stored alone and in a batch; empty when the archive has none. Of a
    /// segment that is there only in part, see `received`. One request.
    public func objects(holding file: ArchivedFile, system: UInt64) throws -> [WALObjectName] {
        switch file {
        case .segment(let name): return try names(around: name, system: system).objects(holding: name)
        case .partial, .history, .backupHistory:
            let name = WALObjectName.file(file)
            return try store.stat(name.key(systemIdentifier: system)) == nil ? [] : [name]
        }
    }

    /// What `wal receive` had of a segment when it was last seen, longest first. One request.
    public func received(of segment: String, system: UInt64) throws -> [WALObjectName] {
        try names(around: segment, system: system).received(of: segment)
    }

    // MARK: Reading

    /// Opens an object's beginning and verifies it. Throws `.notFound` and `.damaged`.
    /// - Parameter isWanted: whether its content will be read, which is then fetched by the same request from a remote store.
    public func open(_ name: WALObjectName, system: UInt64, isWanted: Bool = false) throws -> WALObjectReader {
        let firstRead = isWanted && repository.isRemote ? Self.firstRemoteRead : WALObjectReader.firstRead
        return try reader(name.key(systemIdentifier: system), firstRead: firstRead)
    }

    /// The same of an object by its key, with keys as late as it needs: others may have rotated or added some since this process began, or since
    /// this machine last opened the repository.
    /// - Parameter other: where it stands, if not in the repository's store itself.
    func reader(_ key: StoreKey, in other: (any Store)? = nil, firstRead: Int = WALObjectReader.firstRead) throws -> WALObjectReader {
        try repository.withKeys { try WALObjectReader(key, store: other ?? store, keys: $0, hasher: hasher, firstRead: firstRead) }
    }

    /// A segment of 16 MiB that does not compress, and its description.
    private static let firstRemoteRead = 16 << 20 | 64 << 10

    /// The content of a file, or nil when the archive has none under that name. Where several objects hold it, a damaged one is passed over
    /// for the next. Throws `.damaged` when none reads, `.wrongKey` for a writer key.
    public func content(of file: ArchivedFile, system: UInt64, threads: Int = availableProcessors()) throws -> AlignedBuffer? {
        var problem: (any Error)?
        func content(_ name: WALObjectName) throws -> AlignedBuffer? {
            do {
                let reader = try open(name, system: system, isWanted: !name.isBatch)
                return try reader.content(of: try reader.place(of: file.name), threads: threads)
            } catch let error as RepoError where error.code == .damaged {
                problem = problem ?? error
            } catch let error as RepoError where error.code == .notFound {
                // Not there, or a prune took it since.
            }
            return nil
        }
        // By itself, where most files stand: one request. Only where that fails a listing tells where else it is.
        let alone = WALObjectName.file(file)
        if let content = try content(alone) { return content }
        for name in try objects(holding: file, system: system) where problem == nil || name != alone {
            if let content = try content(name) { return content }
        }
        if let problem { throw problem }
        return nil
    }

    /// As much of a segment as there is where the whole is not: what had been received of it, with the rest in zeros, as the server leaves a
    /// segment that it has not filled, or what a promotion left, whichever reaches further. Nil when there is nothing.
    public func partialContent(of segment: String, system: UInt64) throws -> AlignedBuffer? {
        let folder = try names(around: segment, system: system)
        var problem: (any Error)?
        var partialLength: UInt64 = 0
        if folder.hasPartial(segment) {
            do {
                let reader = try open(.file(.partial(segment: segment)), system: system)
                let end = try reader.facts().first??.endOfRecords?.value ?? 0
                // Behind the last whole record, counted from the segment's beginning.
                if let size = reader.description.segmentSize { partialLength = end == 0 ? 0 : (end - 1) % UInt64(size.bytes) + 1 }
                if !folder.received(of: segment).contains(where: { $0.receivedLength > partialLength }) {
                    return try reader.content(of: try reader.place(of: segment + ".partial"))
                }
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                problem = error
            }
        }
        for name in folder.received(of: segment) {
            do {
                let reader = try open(name, system: system)
                let content = try reader.content(of: try reader.place(of: segment))
                guard let size = reader.description.segmentSize?.bytes, content.count <= size else {
                    throw RepoError.damaged("\(reader.description.key)", "it is longer than a segment")
                }
                let padded = AlignedBuffer(capacity: size)
                withExtendedLifetime(content) { padded.base.copyMemory(from: content.base, byteCount: content.count) }
                (padded.base + content.count).initializeMemory(as: UInt8.self, repeating: 0, count: size - content.count)
                padded.count = size
                return padded
            } catch let error as RepoError where error.code == .damaged {
                problem = problem ?? error
            }
        }
        if let problem { throw problem }
        return nil
    }
}

extension WALObjectReader {
    /// The place of a file in the object. Throws `.damaged` when its description does not list it.
    public func place(of name: String) throws(RepoError) -> Int {
        guard let place = description.files.firstIndex(where: { $0.name == name }) else {
            throw .damaged("\(description.key)", "\(name) is not in it")
        }
        return place
    }
}

/// The names of the objects in one folder of the log.
struct LogFolder {
    private var whole: Set<String> = []
    private var batches: [(first: String, last: String)] = []
    private var partly: [(segment: String, length: UInt32)] = []
    private var partials: Set<String> = []

    init(_ names: [WALObjectName]) {
        for name in names {
            switch name {
            case .file(.segment(let segment)): whole.insert(segment)
            case .batch(let first, let last): batches.append((first, last))
            case .received(let segment, let length): partly.append((segment, length))
            case .file(.partial(let segment)): partials.insert(segment)
            case .file: continue
            }
        }
    }

    func hasPartial(_ segment: String) -> Bool { partials.contains(segment) }

    /// By itself before batches.
    func objects(holding segment: String) -> [WALObjectName] {
        var names: [WALObjectName] = whole.contains(segment) ? [.file(.segment(name: segment))] : []
        for batch in batches.sorted(by: { $0 < $1 }) where batch.first <= segment && segment <= batch.last {
            names.append(.batch(first: batch.first, last: batch.last))
        }
        return names
    }

    func received(of segment: String) -> [WALObjectName] {
        partly.filter { $0.segment == segment }.sorted { $0.length > $1.length }.map {
            .received(segment: $0.segment, length: $0.length)
        }
    }

    /// Without any segment, whole or in part.
    var isEmpty: Bool { whole.isEmpty && batches.isEmpty && partly.isEmpty }

    /// Whether it holds segments of the same timeline before and behind this one.
    func surrounds(_ segment: String) -> Bool {
        let known = whole.union(batches.map(\.first)).union(batches.map(\.last))
        return known.contains { $0 < segment } && known.contains { $0 > segment }
    }
}
