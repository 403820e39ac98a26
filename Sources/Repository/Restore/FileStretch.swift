import Glibc
import RepoBase

/// Chunks that follow one another in one file, written together. One per thread.
final class FileStretch {
    private let limit: Int
    private(set) var file: RestoredFile?
    private(set) var offset: UInt64 = 0
    private(set) var chunks: [UnsafeRawBufferPointer] = []
    private(set) var count = 0
    /// Made with the first stretch that goes past the cache.
    private var gathered: AlignedBuffer?

    /// - Parameter limit: bytes of one stretch, at least the longest chunk.
    init(limit: Int) { self.limit = limit }

    /// False where the chunk does not go on from there: the stretch is to be written first.
    func append(_ bytes: UnsafeRawBufferPointer, to file: RestoredFile, at offset: UInt64) -> Bool {
        if let current = self.file {
            guard current === file, self.offset + UInt64(count) == offset, count + bytes.count <= limit else { return false }
        } else {
            self.file = file
            self.offset = offset
        }
        chunks.append(bytes)
        count += bytes.count
        return true
    }

    func clear() {
        file = nil
        chunks.removeAll(keepingCapacity: true)
        count = 0
    }

    /// Through the page cache.
    func write(to descriptor: CInt) throws(TargetFailure) {
        var position = offset
        for bytes in chunks {
            try TargetCalls.write(bytes, to: descriptor, at: position)
            position += UInt64(bytes.count)
        }
    }

    /// Whole pages past the cache, what is left at both ends through it. False where the file system refused and nothing was written.
    func write(to descriptor: CInt, past direct: CInt) throws(TargetFailure) -> Bool {
        let page = DirectWriting.alignment
        let end = offset + UInt64(count)
        let (first, last) = ((offset + page - 1) / page * page, end / page * page)
        guard first < last else { return false }
        // Bytes lie in memory as they lie in their pages.
        let shift = Int(offset % page)
        let buffer = gathered ?? AlignedBuffer(capacity: limit + 2 * Int(page))
        gathered = buffer
        var filled = shift
        for bytes in chunks {
            buffer.all[filled...].copyMemory(from: bytes)
            filled += bytes.count
        }
        func part(_ range: Range<UInt64>) -> UnsafeRawBufferPointer {
            let start = shift + Int(range.lowerBound - offset)
            return UnsafeRawBufferPointer(rebasing: buffer.all[start..<start + range.count])
        }
        do throws(TargetFailure) {
            try TargetCalls.write(part(first..<last), to: direct, at: first)
        } catch {
            // Some devices want larger blocks, and a write that ended early need not go on at one.
            guard error.number == EINVAL else { throw error }
            return false
        }
        if offset < first { try TargetCalls.write(part(offset..<first), to: descriptor, at: offset) }
        if last < end { try TargetCalls.write(part(last..<end), to: descriptor, at: last) }
        return true
    }
}

extension UnsafeMutableRawBufferPointer.SubSequence {
    fileprivate func copyMemory(from bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: self).copyMemory(from: bytes)
    }
}
