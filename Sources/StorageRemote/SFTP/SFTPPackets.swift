import RepoBase

/// Version 3 of the SSH File Transfer Protocol as OpenSSH speaks it: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL file for what
/// ends in `@openssh.com`. Numbers are big-endian; a packet is a length, a kind, an id and a body.
enum SFTPKind {
    static let initialise: UInt8 = 1, version: UInt8 = 2
    static let open: UInt8 = 3, close: UInt8 = 4, read: UInt8 = 5, write: UInt8 = 6, lstat: UInt8 = 7, fstat: UInt8 = 8, opendir: UInt8 = 11
    static let readdir: UInt8 = 12, remove: UInt8 = 13, mkdir: UInt8 = 14, stat: UInt8 = 17, extended: UInt8 = 200
    static let status: UInt8 = 101, handle: UInt8 = 102, data: UInt8 = 103, name: UInt8 = 104, attributes: UInt8 = 105, extendedReply: UInt8 = 201
}

/// An open file or directory of the server: at most 256 bytes (section 3).
struct SFTPHandle: Hashable { let bytes: [UInt8] }

/// A question to the server, without its id.
struct SFTPRequest {
    let kind: UInt8
    private(set) var body: [UInt8] = []

    private init(_ kind: UInt8) { self.kind = kind }

    private func with(_ value: UInt32) -> Self {
        var other = self
        withUnsafeBytes(of: value.bigEndian) { other.body.append(contentsOf: $0) }
        return other
    }
    private func with(_ value: UInt64) -> Self { with(UInt32(truncatingIfNeeded: value >> 32)).with(UInt32(truncatingIfNeeded: value)) }
    private func with(_ bytes: [UInt8]) -> Self {
        var other = with(UInt32(bytes.count))
        other.body += bytes
        return other
    }
    private func with(_ text: String) -> Self { with(Array(text.utf8)) }

    static func read(_ path: String) -> Self { open(path, flags: 1, attributes: []) }
    /// A new file with mode 0600.
    static func create(_ path: String) -> Self { open(path, flags: 2 | 8 | 32, attributes: [4, 0o600]) }
    private static func open(_ path: String, flags: UInt32, attributes: [UInt32]) -> Self {
        let request = Self(SFTPKind.open).with(path).with(flags)
        return attributes.isEmpty ? request.with(UInt32(0)) : attributes.reduce(request) { $0.with($1) }
    }
    static func close(_ handle: SFTPHandle) -> Self { Self(SFTPKind.close).with(handle.bytes) }
    static func read(_ handle: SFTPHandle, _ offset: UInt64, _ count: Int) -> Self {
        Self(SFTPKind.read).with(handle.bytes).with(offset).with(UInt32(count))
    }
    /// The bytes follow by themselves.
    static func write(_ handle: SFTPHandle, _ offset: UInt64, _ count: Int) -> Self {
        Self(SFTPKind.write).with(handle.bytes).with(offset).with(UInt32(count))
    }
    static func status(_ path: String) -> Self { Self(SFTPKind.stat).with(path) }
    static func linkStatus(_ path: String) -> Self { Self(SFTPKind.lstat).with(path) }
    static func status(_ handle: SFTPHandle) -> Self { Self(SFTPKind.fstat).with(handle.bytes) }
    static func openDirectory(_ path: String) -> Self { Self(SFTPKind.opendir).with(path) }
    static func readDirectory(_ handle: SFTPHandle) -> Self { Self(SFTPKind.readdir).with(handle.bytes) }
    static func remove(_ path: String) -> Self { Self(SFTPKind.remove).with(path) }
    /// With mode 0700.
    static func makeDirectory(_ path: String) -> Self { Self(SFTPKind.mkdir).with(path).with(UInt32(4)).with(UInt32(0o700)) }
    static func hardlink(_ path: String, _ target: String) -> Self { extended("hardlink@openssh.com").with(path).with(target) }
    static func rename(_ path: String, _ target: String) -> Self { extended("posix-rename@openssh.com").with(path).with(target) }
    static func synchronise(_ handle: SFTPHandle) -> Self { extended("fsync@openssh.com").with(handle.bytes) }
    static func fileSystem(_ path: String) -> Self { extended("statvfs@openssh.com").with(path) }
    static let limits = extended("limits@openssh.com")
    private static func extended(_ name: String) -> Self { Self(SFTPKind.extended).with(name) }
}

/// Size and kind of a file, where the server tells them (section 5).
struct SFTPAttributes: Hashable {
    var size: UInt64?
    var mode: UInt32?
    /// Seconds since 1970.
    var modified: UInt32?

    var isRegularFile: Bool { mode.map { $0 & 0o170_000 == 0o100_000 } ?? false }
    var isDirectory: Bool { mode.map { $0 & 0o170_000 == 0o040_000 } ?? false }
    /// Only a look at what it leads to tells.
    var isUnclear: Bool { mode.map { $0 & 0o170_000 == 0o120_000 } ?? true || size == nil || modified == nil }
}

struct SFTPName: Hashable {
    /// Without a slash. Bytes that are no UTF-8 are replaced; such a name is no key anyway.
    let name: String
    let attributes: SFTPAttributes
}

/// What the server offers beyond version 3, and how much it takes at once.
struct SFTPAbilities: Hashable, Sendable {
    var hasHardlink = false, hasRename = false, hasSynchronise = false, hasFileSystem = false, hasLimits = false
    /// Bytes that it is asked for, or is sent, in one request: what every server must take (section 3), unless it says more.
    var readBytes = 32_768, writeBytes = 32_768
    /// 0: unknown.
    var handles = 0

    /// - Parameter body: of the server's version, behind the kind.
    init(version body: [UInt8]) throws(RepoError) {
        var reader = SFTPReader(body)
        let version = try reader.u32()
        guard version == 3 else { throw reader.fail("version \(version)") }
        while !reader.isAtEnd {
            let name = try reader.text(), data = try reader.text()
            switch (name, data) {
            case ("hardlink@openssh.com", "1"): hasHardlink = true
            case ("posix-rename@openssh.com", "1"): hasRename = true
            case ("fsync@openssh.com", "1"): hasSynchronise = true
            case ("statvfs@openssh.com", "2"): hasFileSystem = true
            case ("limits@openssh.com", "1"): hasLimits = true
            default: break
            }
        }
    }

    /// What `limits@openssh.com` says: largest packet, read, write and number of handles; 0 is unknown. Bounded, whatever it says.
    mutating func take(limits body: [UInt8]) throws(RepoError) {
        var reader = SFTPReader(body)
        let packet = try reader.u64(), read = try reader.u64(), write = try reader.u64()
        handles = Int(clamping: try reader.u64())
        let room = packet > 1024 ? packet - 1024 : 261_120
        func bounded(_ value: UInt64) -> Int { value == 0 ? 32_768 : Int(min(max(value, 1024), 261_120, max(room, 1024))) }
        readBytes = bounded(read)
        writeBytes = bounded(write)
    }
}

/// What `statvfs@openssh.com` says.
struct SFTPFileSystem: Hashable {
    let identifier: UInt64
    /// Bytes that this user may still write.
    let available: UInt64

    init(_ body: [UInt8]) throws(RepoError) {
        var reader = SFTPReader(body)
        var numbers: [UInt64] = []
        for _ in 0..<11 { numbers.append(try reader.u64()) }
        identifier = numbers[8]
        available = numbers[4].multipliedReportingOverflow(by: numbers[1]).overflow ? .max : numbers[4] * numbers[1]
    }
}

/// The beginning of every packet.
struct SFTPFrame {
    static let size = 9
    let kind: UInt8
    let id: UInt32
    /// Bytes that follow.
    let count: Int

    /// Answers are short but for contents, which have a bound of their own: OpenSSH's is 256 KiB.
    static let longest = 512 << 10

    /// - Parameter bytes: `size` of them.
    init(_ bytes: [UInt8]) throws(SFTPFailure) {
        let length = bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
        kind = bytes[4]
        id = bytes[5..<9].reduce(0) { $0 << 8 | UInt32($1) }
        guard length >= 5, length <= Self.longest else { throw .broken("a packet of \(length) bytes") }
        count = length - 5
    }
}

/// An answer, without its id.
enum SFTPAnswer {
    case status(SFTPStatus)
    case handle(SFTPHandle)
    /// So many bytes were put where they were wanted.
    case data(Int)
    case names([SFTPName])
    case attributes(SFTPAttributes)
    case extended([UInt8])

    /// Everything but data. Throws `.damaged` for what no server sends.
    init(_ kind: UInt8, _ body: [UInt8]) throws(RepoError) {
        var reader = SFTPReader(body)
        switch kind {
        case SFTPKind.status:
            let code = try reader.u32()
            // Old servers leave out the words.
            self = .status(SFTPStatus(code: code, message: reader.isAtEnd ? "" : try reader.words()))
        case SFTPKind.handle:
            let bytes = try reader.bytes(atMost: 256)
            guard !bytes.isEmpty else { throw reader.fail("an empty handle") }
            self = .handle(SFTPHandle(bytes: Array(bytes)))
        case SFTPKind.name:
            let count = try reader.u32()
            // Two lengths and flags each.
            guard count <= reader.remaining / 12 else { throw reader.fail("more names than bytes") }
            var names: [SFTPName] = []
            names.reserveCapacity(Int(count))
            for _ in 0..<count {
                let name = try reader.bytes(atMost: 4096)
                guard !name.contains(UInt8(ascii: "/")), !name.contains(0), !name.isEmpty else { throw reader.fail("a name with a slash, or none") }
                _ = try reader.bytes(atMost: 65_536)
                names.append(SFTPName(name: String(decoding: name, as: UTF8.self), attributes: try reader.attributes()))
            }
            self = .names(names)
        case SFTPKind.attributes: self = .attributes(try reader.attributes())
        case SFTPKind.extendedReply: self = .extended(body)
        default: throw reader.fail("a packet of kind \(kind)")
        }
    }
}

/// Big-endian numbers and strings, bounded by what is there.
private struct SFTPReader {
    private var reader: ByteReader

    init(_ bytes: [UInt8]) { reader = ByteReader(bytes, object: "an answer") }

    var isAtEnd: Bool { reader.isAtEnd }
    var remaining: Int { reader.remaining }
    func fail(_ why: String) -> RepoError { reader.fail(why) }
    mutating func u32() throws(RepoError) -> UInt32 { try reader.u32().byteSwapped }
    mutating func u64() throws(RepoError) -> UInt64 { try reader.u64().byteSwapped }
    mutating func bytes(atMost limit: Int) throws(RepoError) -> ArraySlice<UInt8> {
        let count = try u32()
        guard count <= limit else { throw fail("a string of \(count) bytes") }
        return try reader.raw(Int(count))
    }
    mutating func text() throws(RepoError) -> String { String(decoding: try bytes(atMost: 65_536), as: UTF8.self) }

    /// For people: nothing that would move their cursor.
    mutating func words() throws(RepoError) -> String {
        let bytes = try bytes(atMost: 65_536).prefix(200).map { $0 >= 32 && $0 < 127 ? $0 : UInt8(ascii: "?") }
        return String(decoding: bytes, as: UTF8.self)
    }

    mutating func attributes() throws(RepoError) -> SFTPAttributes {
        var attributes = SFTPAttributes()
        let flags = try u32()
        if flags & 1 != 0 { attributes.size = try u64() }
        if flags & 2 != 0 { _ = try u64() }
        if flags & 4 != 0 { attributes.mode = try u32() }
        if flags & 8 != 0 {
            _ = try u32()
            attributes.modified = try u32()
        }
        if flags & 0x8000_0000 != 0 {
            let count = try u32()
            guard count <= remaining / 8 else { throw fail("more attributes than bytes") }
            for _ in 0..<count {
                _ = try bytes(atMost: 65_536)
                _ = try bytes(atMost: 65_536)
            }
        }
        return attributes
    }
}
