import BlobEngine
public import RepoBase

/// A tree blob: some entries of a directory, or references to the trees that hold them (format.md, 8.3).
public enum TreeNode: Hashable, Sendable {
    case leaf([TreeEntry])
    case branch([Branch])

    /// A part of a directory too large for one blob.
    public struct Branch: Hashable, Sendable {
        public let firstName: [UInt8]
        public let entryCount: UInt64
        public let id: BlobID

        public init(firstName: [UInt8], entryCount: UInt64, id: BlobID) {
            self.firstName = firstName
            self.entryCount = entryCount
            self.id = id
        }
    }
}

public enum TreeCodec {
    static let maximumNameLength = 255

    private struct EntryFlags: OptionSet {
        let rawValue: UInt8
        static let attributes = EntryFlags(rawValue: 1)
        static let incomplete = EntryFlags(rawValue: 2)
        static let pageAligned = EntryFlags(rawValue: 4)
    }

    /// Entries must be sorted by name; the caller keeps the blob below the limit of 16 MiB.
    public static func encode(leaf entries: some Collection<TreeEntry>) -> [UInt8] {
        var names: [[UInt8]: Int] = [:]
        var table: [[UInt8]] = []
        func number(_ name: [UInt8]) -> Int {
            if name.isEmpty { return 0 }
            if let known = names[name] { return known }
            table.append(name)
            names[name] = table.count
            return table.count
        }
        var body = ByteWriter(capacity: entries.count * 96)
        body.varint(entries.count)
        for entry in entries {
            let metadata = entry.metadata
            body.bytes(entry.name)
            body.u8(metadata.type.rawValue)
            body.varint(UInt64(metadata.permissions))
            body.varint(UInt64(metadata.userID))
            body.varint(UInt64(metadata.groupID))
            body.varint(number(metadata.userName))
            body.varint(number(metadata.groupName))
            write(metadata.modificationTime, into: &body)
            write(metadata.changeTime, into: &body)
            body.varint(metadata.device)
            body.varint(metadata.inode)
            body.varint(metadata.linkCount)
            var flags: EntryFlags = []
            if !metadata.extendedAttributes.isEmpty { flags.insert(.attributes) }
            if entry.isIncomplete { flags.insert(.incomplete) }
            if entry.isPageAligned { flags.insert(.pageAligned) }
            body.u8(flags.rawValue)
            switch entry.payload {
            case .file(let content):
                body.varint(metadata.size)
                switch content {
                case .empty: body.u8(0)
                case .chunk(let id):
                    body.u8(1)
                    body.hash(id)
                case .list(let id):
                    body.u8(2)
                    body.hash(id)
                }
            case .directory(let id): body.hash(id)
            case .symbolicLink(let target): body.bytes(target)
            case .special:
                if metadata.type != .fifo {
                    body.varint(UInt64(metadata.deviceNumber.major))
                    body.varint(UInt64(metadata.deviceNumber.minor))
                }
            }
            if flags.contains(.attributes) {
                body.varint(metadata.extendedAttributes.count)
                for attribute in metadata.extendedAttributes {
                    body.bytes(attribute.name)
                    body.bytes(attribute.value)
                }
            }
        }
        var head = ByteWriter(capacity: body.count + 64)
        head.u8(1)
        head.u8(0)
        head.varint(table.count)
        for name in table { head.bytes(name) }
        head.raw(body.bytes)
        return head.bytes
    }

    public static func encode(branch parts: [TreeNode.Branch]) -> [UInt8] {
        var writer = ByteWriter(capacity: parts.count * 64)
        writer.u8(1)
        writer.u8(1)
        writer.varint(parts.count)
        for part in parts {
            writer.bytes(part.firstName)
            writer.varint(part.entryCount)
            writer.hash(part.id)
        }
        return writer.bytes
    }

    /// Refuses names that could lead out of a directory, unsorted or repeated names, and unknown types.
    public static func decode(_ bytes: [UInt8], object: String) throws(RepoError) -> TreeNode {
        var reader = ByteReader(bytes, object: object)
        guard try reader.u8() == 1 else { throw reader.fail("its version is unknown") }
        switch try reader.u8() {
        case 0: return .leaf(try decodeLeaf(&reader))
        case 1: return .branch(try decodeBranch(&reader))
        default: throw reader.fail("its form is unknown")
        }
    }

    private static func decodeBranch(_ reader: inout ByteReader) throws(RepoError) -> [TreeNode.Branch] {
        let count = try reader.count(ofAtLeast: 34)
        guard count > 0 else { throw reader.fail("a branch is empty") }
        var parts: [TreeNode.Branch] = []
        parts.reserveCapacity(count)
        for _ in 0..<count {
            let name = Array(try reader.bytes(atMost: maximumNameLength))
            if let last = parts.last, !isBefore(last.firstName, name) {
                throw reader.fail("its names are out of order")
            }
            parts.append(
                TreeNode.Branch(firstName: name, entryCount: try reader.varint(), id: try reader.hash()))
        }
        try reader.expectEnd()
        return parts
    }

    private static func decodeLeaf(_ reader: inout ByteReader) throws(RepoError) -> [TreeEntry] {
        let nameCount = try reader.count(ofAtLeast: 1)
        var names: [[UInt8]] = [[]]
        for _ in 0..<nameCount { names.append(Array(try reader.bytes(atMost: 4096))) }
        let count = try reader.count(ofAtLeast: 16)
        var entries: [TreeEntry] = []
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let entry = try decodeEntry(&reader, names: names)
            if let last = entries.last, !isBefore(last.name, entry.name) {
                throw reader.fail("its names are out of order")
            }
            entries.append(entry)
        }
        try reader.expectEnd()
        return entries
    }

    private static func decodeEntry(
        _ reader: inout ByteReader, names: [[UInt8]]
    ) throws(RepoError) -> TreeEntry {
        let name = Array(try reader.bytes(atMost: maximumNameLength))
        guard isPlainName(name) else { throw reader.fail("a name in it is not allowed") }
        guard let type = FileType(rawValue: try reader.u8()), type != .socket else {
            throw reader.fail("a file type in it is unknown")
        }
        let permissions = UInt16(try reader.varint(atMost: 0o7777, "a mode"))
        let user = UInt32(try reader.varint(atMost: Int(UInt32.max), "a user number"))
        let group = UInt32(try reader.varint(atMost: Int(UInt32.max), "a group number"))
        let userName = names[try reader.varint(atMost: names.count - 1, "a user name's number")]
        let groupName = names[try reader.varint(atMost: names.count - 1, "a group name's number")]
        let modified = try readTime(&reader)
        let changed = try readTime(&reader)
        let device = try reader.varint()
        let inode = try reader.varint()
        let links = try reader.varint()
        let flags = EntryFlags(rawValue: try reader.u8())
        guard flags.rawValue < 8 else { throw reader.fail("an entry has unknown flags") }
        var metadata = FileMetadata(
            type: type, permissions: permissions, userID: user, groupID: group, userName: userName,
            groupName: groupName, size: 0, linkCount: links, device: device, inode: inode,
            modificationTime: modified, changeTime: changed)
        let payload: TreeEntry.Payload
        switch type {
        case .regular:
            metadata.size = try reader.varint()
            guard metadata.size <= UInt64(Int64.max) else { throw reader.fail("a file's size is too large") }
            payload = .file(try readContent(&reader, size: metadata.size))
        case .directory: payload = .directory(try reader.hash())
        case .symbolicLink:
            let target = Array(try reader.bytes(atMost: 65_536))
            guard !target.isEmpty, !target.contains(0) else { throw reader.fail("a link's target is not allowed") }
            payload = .symbolicLink(target: target)
        case .blockDevice, .characterDevice:
            metadata.deviceNumber = DeviceNumber(
                major: UInt32(try reader.varint(atMost: Int(UInt32.max), "a device number")),
                minor: UInt32(try reader.varint(atMost: Int(UInt32.max), "a device number")))
            payload = .special
        case .fifo, .socket: payload = .special
        }
        if flags.contains(.attributes) {
            let count = try reader.count(ofAtLeast: 3)
            for _ in 0..<count {
                metadata.extendedAttributes.append(
                    ExtendedAttribute(
                        name: Array(try reader.bytes(atMost: 255)),
                        value: Array(try reader.bytes(atMost: 16 << 20))))
            }
        }
        return TreeEntry(
            name: name, metadata: metadata, payload: payload, isIncomplete: flags.contains(.incomplete),
            isPageAligned: flags.contains(.pageAligned))
    }

    /// Neither empty, `.` nor `..`, and without `/` and NUL: a name that stays in its directory.
    public static func isPlainName(_ name: [UInt8]) -> Bool {
        let dot = UInt8(ascii: ".")
        if name.isEmpty || name.count > maximumNameLength || name == [dot] || name == [dot, dot] { return false }
        return !name.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
    }

    private static func readContent(
        _ reader: inout ByteReader, size: UInt64
    ) throws(RepoError) -> Content {
        switch try reader.u8() {
        case 0:
            guard size == 0 else { throw reader.fail("a file has a size but no content") }
            return .empty
        case 1: return .chunk(try reader.hash())
        case 2: return .list(try reader.hash())
        default: throw reader.fail("a file's content is of an unknown kind")
        }
    }

    private static func write(_ time: FileTime, into writer: inout ByteWriter) {
        writer.zigzag(time.seconds)
        writer.varint(UInt64(time.nanoseconds))
    }

    private static func readTime(_ reader: inout ByteReader) throws(RepoError) -> FileTime {
        FileTime(
            seconds: try reader.zigzag(),
            nanoseconds: UInt32(try reader.varint(atMost: 999_999_999, "nanoseconds")))
    }
}
