import Glibc

/// Symbolic links, as what they are: a text, followed by nobody here.
public enum SymbolicLink {
    /// The link's target, as bytes.
    ///
    /// - Parameter path: for the message of an error.
    public static func target(
        of name: [UInt8], in directory: CInt, path: [UInt8], calls: FileSystemCalls = .kernel
    ) throws(FileSystemError) -> [UInt8] {
        var capacity = 256
        while true {
            var result = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                result = buffer.withMemoryRebound(to: CChar.self) { buffer in
                    name.withCString { calls.readLink($0, in: directory, into: buffer) }
                }
                count = max(0, result)
            }
            guard result >= 0 else {
                throw FileSystemError(.readSymbolicLink, errorNumber: CInt(-result), path: path)
            }
            // A full buffer may hold a target that was cut. Linux limits targets to a page, FUSE as well.
            if result < capacity { return bytes }
            capacity *= 4
            if capacity > 1 << 20 {
                throw FileSystemError(.readSymbolicLink, errorNumber: ENAMETOOLONG, path: path)
            }
        }
    }
}
