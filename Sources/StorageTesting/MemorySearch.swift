public import Glibc

/// Looks for bytes in all memory of a process into which it may write: whether a secret is still there.
public enum MemorySearch {
    /// In how many places they are. This process's buffer, and the memory around `pattern`, are passed over.
    /// - Parameters:
    ///   - pattern: in memory of its own where this process is looked through; at least 8 bytes.
    ///   - process: nil for this one. Throws the number of the system's error where it may not be read.
    public static func occurrences(of pattern: UnsafeRawBufferPointer, in process: pid_t? = nil) throws -> Int {
        let name = process.map { "\($0)" } ?? "self"
        let source = open("/proc/\(name)/mem", O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { throw Failure(number: errno) }
        defer { close(source) }
        let size = 1 << 20
        guard let piece = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), piece != MAP_FAILED else {
            throw Failure(number: errno)
        }
        defer { munmap(piece, size) }
        let own: [UInt64] = process == nil ? [UInt64(UInt(bitPattern: piece)), UInt64(UInt(bitPattern: pattern.baseAddress!))] : []
        var found = 0
        for line in text("/proc/\(name)/maps").split(separator: "\n") {
            let words = line.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard words.count > 1, words[1].hasPrefix("rw"), ends.count == 2, !own.contains(where: { (ends[0]..<ends[1]).contains($0) }) else { continue }
            var at = ends[0]
            while at + UInt64(pattern.count) <= ends[1] {
                let count = pread(source, piece, min(size, Int(ends[1] - at)), off_t(at))
                guard count >= pattern.count else { break }
                found += occurrences(of: pattern, in: UnsafeRawBufferPointer(start: piece, count: count))
                at += UInt64(count - pattern.count + 1)
            }
        }
        return found
    }

    public struct Failure: Error {
        public let number: CInt
    }

    private static func occurrences(of pattern: UnsafeRawBufferPointer, in piece: UnsafeRawBufferPointer) -> Int {
        // By a byte that is rare in memory: neither zero nor what fills it.
        let rare = pattern.firstIndex { $0 > 0x20 && $0 != 0xff } ?? 0
        var found = 0
        var start = 0
        while start + pattern.count <= piece.count,
            let place = memchr(piece.baseAddress! + start + rare, CInt(pattern[rare]), piece.count - pattern.count + 1 - start)
        {
            start = UnsafeRawPointer(place) - piece.baseAddress! - rare
            if memcmp(piece.baseAddress! + start, pattern.baseAddress!, pattern.count) == 0 { found += 1 }
            start += 1
        }
        return found
    }

    private static func text(_ path: String) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
