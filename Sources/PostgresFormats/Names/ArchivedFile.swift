/// What PostgreSQL hands to `archive_command` and asks `restore_command` for, told by the name alone
/// (access/xlog_internal.h: `IsXLogFileName`, `IsPartialXLogFileName`, `IsTLHistoryFileName`, `IsBackupHistoryFileName`).
public enum ArchivedFile: Hashable, Sendable {
    /// 24 digits.
    case segment(name: String)
    /// 24 digits and `.partial`: the last segment of a timeline that a promotion left, filled up to the switch.
    case partial(segment: String)
    /// 8 digits and `.history`.
    case history(timeline: UInt32)
    /// 24 digits, a dot, 8 digits of an offset, and `.backup`.
    case backupHistory(name: String)

    public init?(name: String) {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        func isHexadecimal(_ text: String, _ count: Int) -> Bool {
            text.utf8.count == count && text.allSatisfy { $0.isHexDigit && !$0.isLowercase && $0.isASCII }
        }
        switch parts.count {
        case 1 where isHexadecimal(parts[0], 24): self = .segment(name: name)
        case 2 where isHexadecimal(parts[0], 24) && parts[1] == "partial": self = .partial(segment: parts[0])
        case 2 where isHexadecimal(parts[0], 8) && parts[1] == "history":
            guard let timeline = UInt32(parts[0], radix: 16), timeline > 0 else { return nil }
            self = .history(timeline: timeline)
        case 3 where isHexadecimal(parts[0], 24) && isHexadecimal(parts[1], 8) && parts[2] == "backup":
            self = .backupHistory(name: name)
        default: return nil
        }
    }

    /// The first eight digits.
    public var timeline: UInt32 {
        switch self {
        case .segment(let name), .partial(let name), .backupHistory(let name): UInt32(name.prefix(8), radix: 16) ?? 0
        case .history(let timeline): timeline
        }
    }

    public var name: String {
        switch self {
        case .segment(let name), .backupHistory(let name): name
        case .partial(let segment): segment + ".partial"
        case .history(let timeline): WALSegment.hexadecimal(timeline) + ".history"
        }
    }
}
