import RepoBase

/// One member of a tar archive, without its content.
struct TarMember: Hashable {
    enum Kind: Hashable {
        case file
        case directory
        case symbolicLink(target: [UInt8])
    }

    /// As the archive has it, without a slash at its end.
    var name: [UInt8]
    var kind: Kind
    /// The low 12 bits of the mode.
    var permissions: UInt16
    var userID: UInt32
    var groupID: UInt32
    var userName: [UInt8]
    var groupName: [UInt8]
    /// Seconds since 1970.
    var modified: Int64
    /// Bytes of content; 0 for anything but a file.
    var size: UInt64
}

/// One header block (POSIX 1003.1-1988, ustar; GNU's numbers in base 256 for what does not fit into octal digits).
struct TarHeader {
    static let blockSize = 512

    var member: TarMember
    /// `L` and `K` (GNU): the content is the name, or the link's target, of the member that follows.
    var extends: UInt8?

    /// Nil for a block of zeros, of which two end an archive. Throws for a block that is no header.
    init?(_ block: UnsafeRawBufferPointer) throws(RepoError) {
        precondition(block.count == Self.blockSize)
        if block.allSatisfy({ $0 == 0 }) { return nil }
        func text(_ offset: Int, _ count: Int) -> [UInt8] { Array(block[offset..<offset + count].prefix { $0 != 0 }) }
        let sum = block.indices.reduce(0) { $0 + ((148..<156).contains($1) ? 32 : Int(block[$1])) }
        guard let recorded = Self.number(block[148..<156]), recorded == UInt64(sum) else {
            throw Self.broken("a header's checksum is wrong")
        }
        guard let mode = Self.number(block[100..<108]), let user = Self.number(block[108..<116]),
            let group = Self.number(block[116..<124]), let size = Self.number(block[124..<136]),
            let modified = Self.number(block[136..<148]), user <= UInt32.max, group <= UInt32.max, size <= Int64.max,
            modified <= Int64.max
        else { throw Self.broken("a header's numbers are not numbers") }
        var name = text(0, 100)
        let isPosix = block[257..<263].elementsEqual("ustar\0".utf8)
        if isPosix, block[345] != 0 { name = text(345, 155) + [UInt8(ascii: "/")] + name }
        let kind: TarMember.Kind
        switch block[156] {
        case UInt8(ascii: "0"), 0: kind = .file
        case UInt8(ascii: "5"): kind = .directory
        case UInt8(ascii: "2"): kind = .symbolicLink(target: text(157, 100))
        case let type where type == UInt8(ascii: "L") || type == UInt8(ascii: "K"):
            guard size <= 65_536 else { throw Self.broken("a name in it is too long") }
            extends = type
            kind = .file
        case let type: throw Self.broken("it has a member of the unknown type \(type)")
        }
        while name.last == UInt8(ascii: "/") { name.removeLast() }
        guard kind == .file || size == 0 else { throw Self.broken("a member that is no file has content") }
        member = TarMember(
            name: name, kind: kind, permissions: UInt16(mode & 0o7777), userID: UInt32(user), groupID: UInt32(group),
            userName: text(265, 32), groupName: text(297, 32), modified: Int64(modified), size: size)
    }

    /// Octal digits, or with the first byte's highest bit set, the rest in base 256.
    static func number(_ field: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        if let first = field.first, first & 0x80 != 0 {
            var value = UInt64(first & 0x3F)
            for byte in field.dropFirst() {
                guard value >> 56 == 0 else { return nil }
                value = value << 8 | UInt64(byte)
            }
            return value
        }
        let digits = field.drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
        var value: UInt64 = 0
        for digit in digits {
            guard (0x30...0x37).contains(digit), value >> 60 == 0 else { return nil }
            value = value << 3 | UInt64(digit - 0x30)
        }
        return value
    }

    static func broken(_ why: String) -> RepoError {
        RepoError(
            .sourceFailed, "an archive of the base backup cannot be read: \(why)",
            advice: "No snapshot was made. Run it again; if this comes back, look at the server's disks and at the network.")
    }
}
