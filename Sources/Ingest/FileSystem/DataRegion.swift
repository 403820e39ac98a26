import CLinux
import Glibc

/// A stretch of a file that has content; what lies between stretches is a hole and reads as zeros.
public struct DataRegion: Hashable, Sendable {
    /// Bytes from the start of the file.
    public var offset: UInt64
    /// Bytes; never 0.
    public var length: UInt64

    public init(offset: UInt64, length: UInt64) {
        self.offset = offset
        self.length = length
    }
}

extension DataRegion {
    /// The first region at or after `offset` and before `size`, or nothing where only a hole remains.
    ///
    /// A file system that does not know (`EINVAL`, `EOPNOTSUPP`) answers for one region up to `size`, as
    /// the kernel itself does for most of those. Moves the descriptor's position. Cost: two system calls.
    static func first(
        of descriptor: CInt, from offset: UInt64, size: UInt64, path: [UInt8], calls: FileSystemCalls
    ) throws(FileSystemError) -> DataRegion? {
        guard offset < size else { return nil }
        let rest = DataRegion(offset: offset, length: size - offset)
        let start = calls.seek(descriptor, to: offset, whence: LINUX_SEEK_DATA)
        if start == -Int(ENXIO) { return nil }
        if start == -Int(EINVAL) || start == -Int(EOPNOTSUPP) { return rest }
        guard start >= 0 else {
            throw FileSystemError(.readContent, errorNumber: CInt(-start), path: path)
        }
        guard start >= offset, start < size else { return nil }
        // ENXIO here: the file has been truncated since. What is read then is short, and says so.
        let end = calls.seek(descriptor, to: UInt64(start), whence: LINUX_SEEK_HOLE)
        guard end > start else { return DataRegion(offset: UInt64(start), length: size - UInt64(start)) }
        return DataRegion(offset: UInt64(start), length: min(UInt64(end), size) - UInt64(start))
    }
}
