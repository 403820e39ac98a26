import Glibc
public import RepoBase

extension FileMetadata {
    /// Reads the extended attributes of a directory's entry, whatever its type, without following or
    /// opening it. ACLs and capabilities are among them.
    ///
    /// Only path-based calls exist for symbolic links and special files, so the entry is reached through
    /// `/proc/self/fd`, which must be mounted: the path stays short at any depth, and cannot be redirected.
    /// Cost: one system call where there are none, else two and two for each.
    ///
    /// - Throws: the first failure, after everything that could be read has been taken over. File systems
    ///   without extended attributes are not a failure.
    public mutating func loadExtendedAttributes(
        of name: [UInt8], in directory: CInt, path: [UInt8], calls: FileSystemCalls = .kernel
    ) throws(FileSystemError) {
        let location = Array("/proc/self/fd/\(directory)/".utf8) + name
        var read = (attributes: [ExtendedAttribute](), errorNumber: CInt(0))
        let result = location.withCString {
            read = ExtendedAttribute.read(of: .path($0), calls: calls)
            return 0
        }
        if result < 0 { read.errorNumber = CInt(-result) }
        try take(read, path: path)
    }

    /// Reads the extended attributes of an open file or directory.
    ///
    /// - Throws: the first failure, after everything that could be read has been taken over.
    public mutating func loadExtendedAttributes(
        of descriptor: CInt, path: [UInt8], calls: FileSystemCalls = .kernel
    ) throws(FileSystemError) {
        try take(ExtendedAttribute.read(of: .descriptor(descriptor), calls: calls), path: path)
    }

    private mutating func take(
        _ read: (attributes: [ExtendedAttribute], errorNumber: CInt), path: [UInt8]
    ) throws(FileSystemError) {
        extendedAttributes = read.attributes
        if read.errorNumber != 0 {
            throw FileSystemError(.readExtendedAttributes, errorNumber: read.errorNumber, path: path)
        }
    }
}

extension ExtendedAttribute {
    /// XATTR_SIZE_MAX and XATTR_LIST_MAX of Linux (`linux/limits.h`): values and lists never exceed it.
    private static let limit = 64 << 10

    fileprivate static func read(
        of subject: FileSystemCalls.AttributeSubject, calls: FileSystemCalls
    ) -> (attributes: [ExtendedAttribute], errorNumber: CInt) {
        let list = bytes { calls.listAttributes(of: subject, into: $0) }
        guard case .success(let names) = list else {
            // tmpfs, FAT, NFS and /proc may have none at all.
            return ([], list.errorNumber == ENOTSUP ? 0 : list.errorNumber)
        }
        var attributes: [ExtendedAttribute] = []
        var firstFailure: CInt = 0
        for name in names.split(separator: 0) {
            let name = Array(name)
            let value = bytes { buffer in
                name.withCString { calls.attribute($0, of: subject, into: buffer) }
            }
            switch value {
            case .success(let value): attributes.append(ExtendedAttribute(name: name, value: value))
            // Removed since it was listed.
            case .failure(ENODATA): break
            case .failure(let errorNumber): if firstFailure == 0 { firstFailure = errorNumber }
            }
        }
        attributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
        return (attributes, firstFailure)
    }

    private enum Outcome {
        case success([UInt8])
        case failure(CInt)

        var errorNumber: CInt {
            if case .failure(let errorNumber) = self { errorNumber } else { 0 }
        }
    }

    /// Asks for the size, then for the bytes, and again while they grow in between (`ERANGE`), at last
    /// with the largest buffer that can be needed.
    private static func bytes(_ call: (UnsafeMutableRawBufferPointer) -> Int) -> Outcome {
        for attempt in 0..<4 {
            let size = attempt == 3 ? limit : call(UnsafeMutableRawBufferPointer(start: nil, count: 0))
            if size < 0 { return .failure(CInt(-size)) }
            if size == 0 { return .success([]) }
            var result = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                result = call(UnsafeMutableRawBufferPointer(buffer))
                count = max(0, result)
            }
            if result >= 0 { return .success(bytes) }
            if result != -Int(ERANGE) { return .failure(CInt(-result)) }
        }
        return .failure(ERANGE)
    }
}
