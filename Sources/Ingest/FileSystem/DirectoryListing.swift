import CLinux
import Glibc
import RepoBase

/// The names in a directory, sorted bytewise, in one buffer.
///
/// A million names of 20 bytes take about 40 MB: 16 bytes an entry, and the names themselves.
public struct DirectoryListing: Sendable {
    private struct Entry {
        /// The first eight bytes, big-endian, filled up with zeros: most comparisons end here.
        var prefix: UInt64
        var offset: UInt32
        /// NAME_MAX is 255 bytes, but FUSE allows 1,024.
        var length: UInt16
        var type: UInt8
    }

    /// Names, each followed by a zero byte, so that system calls can take them where they lie.
    private var names: [UInt8] = []
    private var entries: [Entry] = []

    /// What ended the reading early; the listing then holds what had been read until then.
    public private(set) var failure: FileSystemError?

    /// Reads an open directory to its end, without `.` and `..`.
    ///
    /// A name that the kernel delivers twice, as it may when the directory changes meanwhile, is kept
    /// once. Cost: n log n comparisons, one system call for about 2,000 names.
    ///
    /// - Parameters:
    ///   - descriptor: of a directory, opened for reading; its position is moved.
    ///   - path: for the message of `failure`.
    public init(reading descriptor: CInt, path: [UInt8], calls: FileSystemCalls = .kernel) {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 8) { buffer in
            while true {
                let count = calls.directoryRecords(of: descriptor, into: buffer)
                if count == 0 { return }
                guard count > 0, names.count + count <= UInt32.max else {
                    let errorNumber = count < 0 ? CInt(-count) : EFBIG
                    failure = FileSystemError(.listDirectory, errorNumber: errorNumber, path: path)
                    return
                }
                append(records: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
        sort()
    }

    public var count: Int { entries.count }

    /// The name at a position of the sorted order.
    public subscript(index: Int) -> [UInt8] {
        let entry = entries[index]
        return Array(names[Int(entry.offset)..<Int(entry.offset) + Int(entry.length)])
    }

    /// What the directory itself says of an entry's type; nothing where its file system does not keep it.
    func listedType(at index: Int) -> FileType? {
        let type = mode_t(entries[index].type)
        // DT_… are the type bits of st_mode, shifted (IFTODT in dirent.h); DT_UNKNOWN is 0.
        return type == 0 ? nil : FileType(mode: type << 12)
    }

    /// Whether the directory has an entry of that name. Cost: log n comparisons.
    public func contains(_ name: StaticString) -> Bool {
        let wanted = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return names.withUnsafeBytes { names in
            var low = 0
            var high = entries.count
            while low < high {
                let middle = (low + high) / 2
                let entry = entries[middle]
                let start = Int(entry.offset)
                let found = names[start..<start + Int(entry.length)]
                if found.elementsEqual(wanted) { return true }
                if found.lexicographicallyPrecedes(wanted) { low = middle + 1 } else { high = middle }
            }
            return false
        }
    }

    /// Calls `body` with the name as a C string.
    func withCName<Result>(at index: Int, _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        names.withUnsafeBytes { names in
            body(
                names.baseAddress!.advanced(by: Int(entries[index].offset))
                    .assumingMemoryBound(to: CChar.self))
        }
    }

    /// Takes over records of the layout `struct linux_dirent64`.
    private mutating func append(records: UnsafeRawBufferPointer) {
        var position = 0
        while position < records.count {
            let record = UnsafeRawBufferPointer(rebasing: records[position...])
            let length = Int(record.load(fromByteOffset: LINUX_DIRENT64_RECLEN, as: UInt16.self))
            let type = record[LINUX_DIRENT64_TYPE]
            let start = record.baseAddress! + LINUX_DIRENT64_NAME
            let name = UnsafeRawBufferPointer(
                start: start, count: strlen(start.assumingMemoryBound(to: CChar.self)))
            position += length
            let isDot = name[0] == RawPath.dot && name.dropFirst().allSatisfy { $0 == RawPath.dot }
            if isDot && name.count <= 2 { continue }
            var prefix: UInt64 = 0
            for index in 0..<8 { prefix = prefix << 8 | (index < name.count ? UInt64(name[index]) : 0) }
            entries.append(
                Entry(
                    prefix: prefix, offset: UInt32(names.count), length: UInt16(name.count), type: type))
            names.append(contentsOf: name)
            names.append(0)
        }
    }

    private mutating func sort() {
        names.withUnsafeBytes { names in
            func compare(_ left: Entry, _ right: Entry) -> CInt {
                // The terminators are compared too, so that a name sorts after its own beginning.
                memcmp(
                    names.baseAddress! + Int(left.offset), names.baseAddress! + Int(right.offset),
                    Int(min(left.length, right.length)) + 1)
            }
            entries.sort { left, right in
                left.prefix != right.prefix ? left.prefix < right.prefix : compare(left, right) < 0
            }
            var kept = 0
            for index in entries.indices {
                if kept > 0, entries[kept - 1].prefix == entries[index].prefix,
                    compare(entries[kept - 1], entries[index]) == 0
                {
                    continue
                }
                entries[kept] = entries[index]
                kept += 1
            }
            entries.removeSubrange(kept...)
        }
    }
}
