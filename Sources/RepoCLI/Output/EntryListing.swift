import Ingest
import Policy
import RepoBase
import Repository

/// Entries of a snapshot, one a line: paths, `ls -l` lines, or JSON objects.
struct EntryListing {
    private let context: CommandContext
    private let isLong: Bool
    private let zone: any ZoneOffsets

    init(_ context: CommandContext, isLong: Bool) {
        self.context = context
        self.isLong = isLong
        zone = context.zone
    }

    func show(_ entry: TreeEntry, at path: [UInt8], indent: String = "") throws {
        if context.options.json {
            try context.console.print(JSONOutput.line(EntryRow(entry, at: path)))
        } else {
            try context.console.print(indent + (isLong ? long(entry, path) : RawPath.describe(path)))
        }
    }

    private func long(_ entry: TreeEntry, _ path: [UInt8]) -> String {
        let metadata = entry.metadata
        let owner = Self.name(metadata.userName, metadata.userID)
        let group = Self.name(metadata.groupName, metadata.groupID)
        var size = String(metadata.size)
        if metadata.type == .blockDevice || metadata.type == .characterDevice {
            size = "\(metadata.deviceNumber.major), \(metadata.deviceNumber.minor)"
        }
        var line = Self.columns.line([
            Self.mode(metadata), owner, group, size, "\(TimeDisplay.local(metadata.modificationTime, in: zone)) \(RawPath.describe(path))",
        ])
        if case .symbolicLink(let target) = entry.payload { line += " -> \(RawPath.describe(target))" }
        if entry.isIncomplete { line += " (incomplete)" }
        return line
    }

    /// As ls(1) has it, but with room for what was not seen yet: mode, owner, group, size, and the rest.
    private static let columns = TextColumns(widths: [10, 8, 8, 12, 0], rightAligned: [3], gap: 1)

    static func name(_ name: [UInt8], _ number: UInt32) -> String {
        name.isEmpty ? String(number) : RawPath.describe(name)
    }

    /// As ls(1) has it: `drwxr-sr-t`.
    static func mode(_ metadata: FileMetadata) -> String {
        let type: Character =
            switch metadata.type {
            case .regular: "-"
            case .directory: "d"
            case .symbolicLink: "l"
            case .blockDevice: "b"
            case .characterDevice: "c"
            case .fifo: "p"
            case .socket: "s"
            }
        var text = String(type)
        let special: [(bit: UInt16, set: Character, alone: Character)] = [
            (0o4000, "s", "S"), (0o2000, "s", "S"), (0o1000, "t", "T"),
        ]
        for (position, special) in special.enumerated() {
            let bits = metadata.permissions >> UInt16(6 - 3 * position) & 7
            text.append(bits & 4 != 0 ? "r" : "-")
            text.append(bits & 2 != 0 ? "w" : "-")
            let isExecutable = bits & 1 != 0
            if metadata.permissions & special.bit != 0 {
                text.append(isExecutable ? special.set : special.alone)
            } else {
                text.append(isExecutable ? "x" : "-")
            }
        }
        return text
    }
}

/// An entry with `--json`.
struct EntryRow: Encodable {
    let path: String
    /// The path's bytes in hexadecimal, where they are not UTF-8.
    let pathBytes: String?
    let type: String
    let mode: String
    let user: String
    let group: String
    let uid: UInt32
    let gid: UInt32
    let size: UInt64
    let modified: String
    let target: String?
    let incomplete: Bool?

    init(_ entry: TreeEntry, at path: [UInt8]) {
        let metadata = entry.metadata
        self.path = String(decoding: path, as: UTF8.self)
        pathBytes = Array(self.path.utf8) == path ? nil : Hexadecimal.encode(path)
        type = Self.name(metadata.type)
        mode = "0" + String(metadata.permissions, radix: 8)
        user = EntryListing.name(metadata.userName, metadata.userID)
        group = EntryListing.name(metadata.groupName, metadata.groupID)
        (uid, gid) = (metadata.userID, metadata.groupID)
        size = metadata.size
        modified = TimeDisplay.utc(metadata.modificationTime)
        if case .symbolicLink(let target) = entry.payload {
            self.target = String(decoding: target, as: UTF8.self)
        } else {
            target = nil
        }
        incomplete = entry.isIncomplete ? true : nil
    }

    private static func name(_ type: FileType) -> String {
        switch type {
        case .regular: "file"
        case .directory: "directory"
        case .symbolicLink: "symlink"
        case .blockDevice: "block_device"
        case .characterDevice: "character_device"
        case .fifo: "fifo"
        case .socket: "socket"
        }
    }
}
