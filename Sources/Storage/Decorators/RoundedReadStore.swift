import RepoBase

/// Reads whole blocks where parts of an object are asked for, so that whoever sees the requests does not learn where in it something begins and ends
/// (docs/adr/0039-sizes.md).
///
/// A read that begins or ends within a block costs up to two blocks more, and a copy of its bytes.
public final class RoundedReadStore: StoreDecorator {
    /// Of a block, in bytes. At 1 candidate in 128 bytes, two blocks hold some 64 places where a chunk may end.
    public static let blockSize: UInt64 = 4096

    package let base: any Store

    public init(_ base: any Store) { self.base = base }

    public var location: String { base.location }

    public func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard !buffer.isEmpty else { return try base.read(key, at: offset, into: buffer) }
        let start = offset / Self.blockSize * Self.blockSize
        let (sum, isBeyond) = (offset + UInt64(buffer.count)).addingReportingOverflow(Self.blockSize - 1)
        guard !isBeyond else { return try base.read(key, at: offset, into: buffer) }
        let count = Int(sum / Self.blockSize * Self.blockSize - start)
        guard count != buffer.count else { return try base.read(key, at: offset, into: buffer) }
        let blocks = AlignedBuffer(capacity: count)
        let before = Int(offset - start)
        return try withExtendedLifetime(blocks) {
            let found = try base.read(key, at: start, into: UnsafeMutableRawBufferPointer(start: blocks.base, count: count))
            let wanted = max(0, min(found - before, buffer.count))
            if wanted > 0 { buffer.baseAddress!.copyMemory(from: blocks.base + before, byteCount: wanted) }
            return wanted
        }
    }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }
    public func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.putData(key, bytes, mode) }
    public func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }
    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws { try base.listKeys(prefix, body) }
    public func folders(in folder: String) throws -> [String] { try base.folders(in: folder) }
    public func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    public func delete(_ key: StoreKey) throws { try base.delete(key) }
    public func delete(_ keys: [StoreKey]) throws { try base.delete(keys) }
    /// Whole objects: nothing to hide but their size.
    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] { try base.get(key, atMost: limit) }
    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { try base.removeAbandonedPuts(olderThan: age) }
}
