import RepoBase

/// Where objects live: a flat map from key to bytes. Nothing else is assumed of it.
///
/// Every store and every decorator passes the suite in `StorageTesting`, which states this contract as tests.
/// Calls block; callers are threads of our own, several at once. Errors are `RepoError`s: `.notFound` for an
/// absent object, `.conflict` for a create-only put on a name that exists, `.storeFull`, `.unreachable` for
/// what may succeed later, `.failed` for the rest; each names the key.
public protocol Store: Sendable {
    /// How people name it in messages, without secrets: a path or a URL.
    var location: String { get }

    /// Stores `bytes` under `key`, whole or not at all, durable on return. A reader sees the old bytes or the
    /// new, never a mixture.
    /// - `.create` throws `.conflict` when the key exists, even in a race: one of several callers wins.
    /// - `.replace` overwrites.
    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws

    /// Reads from `offset` into `buffer` and returns the count: short only at the object's end. Throws
    /// `.notFound`.
    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int

    /// Nil when absent.
    func stat(_ key: StoreKey) throws -> StoredObject?

    /// Calls `body` for every object whose key begins with `prefix`, in no order. Objects put, replaced or
    /// deleted meanwhile may be seen or not (a tmpfs moves a replaced name to the directory's end); all others are. Unfinished puts are
    /// never seen.
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws

    /// Calls `body` for every key that begins with `prefix`, as `list` does, without looking at the objects: several times as fast where that
    /// costs a call each.
    func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws

    /// The names directly below `folder` that keys go on with after a further `/`: for `wal/1/2/3`, `wal` has the folder `1`. One request,
    /// however much lies below. In no order; a folder whose last object is gone may still be named.
    func folders(in folder: String) throws -> [String]

    /// Returns once an object that the caller has seen survives a crash of the store: one that another process is just putting is visible a
    /// moment before it is durable. An absent object is not an error.
    func makeDurable(_ key: StoreKey) throws

    /// Removes the object, durable on return. An absent object is not an error.
    func delete(_ key: StoreKey) throws

    /// The whole object, in one version even when it is being replaced. Throws `.damaged` when it is larger
    /// than `limit` bytes. One request where the store can.
    func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8]

    /// As `delete` for each, in no order; after a failure any of them may be gone. One request for many where the store can.
    func delete(_ keys: [StoreKey]) throws

    /// Removes what is left of puts that were begun so long ago that nobody is at them any more: nothing that a listing tells. Returns how
    /// many.
    func removeAbandonedPuts(olderThan age: Duration) throws -> Int

    // What only some stores can; `Store+Options.swift` has what the others do.

    /// Nothing can be put or deleted: each try throws `.refused`.
    var isReadOnly: Bool { get }

    /// The lock that every put of a key that it covers is given; nil: none.
    var lock: ObjectLock? { get }

    /// Whether its location can be opened as it was at a moment (`as-of=`), with what was deleted since.
    var readsPast: Bool { get }

    /// Until when nobody can delete the object, in seconds since 1970; nil for one that is not locked, or absent. One request.
    func lockedUntil(_ key: StoreKey) throws -> Int64?

    /// Locks the object until then, in seconds since 1970, in the mode of `lock`. One that is locked for longer stays so; an absent one is not an error. Throws
    /// `.refused` where a store does not let its lock be changed. One request.
    func extendLock(_ key: StoreKey, until: Int64) throws

    /// As `delete`, and where the store locks what is put, with every version that it keeps, so that the room is free. Throws `.refused` while one of them is
    /// locked.
    func purge(_ keys: [StoreKey]) throws

    /// As `put`, for what holds nothing but data, which is read when it is restored and hardly ever else: it goes to the class of storage that was chosen for such.
    func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws

    /// Whether it has archival tiers, from which objects have to be brought back before they can be read. Reading one that was not throws `.archived`.
    var hasArchive: Bool { get }

    /// Asks for an archived object to be brought back; one that is on its way, or there, is not asked for again. Returns before it is there. One request.
    func thaw(_ key: StoreKey, _ request: ThawRequest) throws
}

public enum PutMode: Sendable {
    case create
    case replace
}

/// What a listing tells of an object.
public struct StoredObject: Hashable, Sendable {
    public let key: StoreKey
    /// Bytes.
    public let size: UInt64
    /// Seconds since 1970 by the store's own clock, for display and margins; nothing's safety rests on it.
    public let modified: Int64
    /// Of a listing, `.archived` may also be one that was brought back for a while: `stat` knows.
    public let availability: Availability

    public init(key: StoreKey, size: UInt64, modified: Int64, availability: Availability = .ready) {
        self.key = key
        self.size = size
        self.modified = modified
        self.availability = availability
    }
}

/// A name of one or more parts of `a-z A-Z 0-9 . _ -` joined by `/`; no part is empty or begins with a dot.
public struct StoreKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let description: String

    /// Traps on a name outside that grammar: keys are made by the program, never from input.
    public init(_ text: String) {
        precondition(StoreKey.isValid(text), "not a store key: \(text)")
        description = text
    }

    /// Nil for a name outside the grammar, such as a stray file in the repository's folder.
    public init?(checking text: String) {
        guard StoreKey.isValid(text) else { return nil }
        description = text
    }

    /// True for a name that ends in a hash of 32 bytes, in hexadecimal digits: of such a name every writer puts the same bytes (format.md, 2).
    public var namesContent: Bool {
        let digits = description.utf8.suffix(64)
        guard digits.count == 64, description.utf8.count == 64 || description.utf8.dropLast(64).last == UInt8(ascii: "/") else { return false }
        return digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
    }

    private static func isValid(_ text: String) -> Bool {
        var atStart = true
        guard !text.isEmpty, text.utf8.count <= 512 else { return false }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "/"):
                if atStart { return false }
                atStart = true
            case UInt8(ascii: "."):
                if atStart { return false }
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                atStart = false
            default: return false
            }
        }
        return !atStart
    }

    public static func < (a: StoreKey, b: StoreKey) -> Bool { a.description < b.description }
}

extension Store {
    /// By `stat` and one read.
    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        for _ in 0..<100 {
            guard let object = try stat(key) else { throw StoreError.notFound(key, in: location) }
            guard object.size <= UInt64(limit) else {
                throw RepoError.damaged("\(key)", "it has \(object.size) bytes, more than \(limit)")
            }
            // One byte more tells whether a longer version has taken its place since.
            let size = Int(object.size)
            let bytes = try [UInt8](unsafeUninitializedCapacity: size + 1) { buffer, count in
                let whole = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: size + 1)
                count = try read(key, at: 0, into: whole)
            }
            if bytes.count <= size { return bytes }
        }
        throw RepoError.damaged("\(key)", "it has more bytes than the store tells, each time it is read")
    }

    public func put(_ key: StoreKey, _ bytes: [UInt8], _ mode: PutMode) throws {
        try bytes.withUnsafeBytes { try put(key, $0, mode) }
    }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws {
        try list(prefix) { try body($0.key) }
    }

    public func delete(_ keys: [StoreKey]) throws {
        for key in keys { try delete(key) }
    }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { 0 }

    public func folders(in folder: String) throws -> [String] {
        var names: Set<String> = []
        let prefix = folder.isEmpty ? "" : folder + "/"
        try listKeys(prefix) { key in
            let rest = key.description.utf8.dropFirst(prefix.utf8.count)
            if let slash = rest.firstIndex(of: UInt8(ascii: "/")) { names.insert(String(rest[..<slash])!) }
        }
        return Array(names)
    }

    /// Every object below `prefix`, for prefixes that hold few.
    public func list(_ prefix: String) throws -> [StoredObject] {
        var objects: [StoredObject] = []
        try list(prefix) { objects.append($0) }
        return objects
    }
}
