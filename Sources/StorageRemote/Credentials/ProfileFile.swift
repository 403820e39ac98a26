import Glibc
import RepoBase

/// The files that the AWS command line keeps settings in: `~/.aws/credentials` and `~/.aws/config`.
///
/// Format: "Configuration and credential file settings" of the AWS CLI user guide. Values that are indented belong to a nested setting and are
/// left out.
struct ProfileFile {
    private var profiles: [String: [String: String]] = [:]

    /// - Parameter prefixed: in `config`, sections are `[profile NAME]`, but for the default one.
    init(parsing text: String, prefixed: Bool) {
        var section: String?
        for line in text.split(whereSeparator: \.isNewline) {
            guard let first = line.first, !first.isWhitespace, first != "#", first != ";" else { continue }
            if first == "[" {
                let name = line.dropFirst().prefix { $0 != "]" }.split(separator: " ").map(String.init)
                section =
                    switch name.count {
                    case 1 where !prefixed || name[0] == "default": name[0]
                    case 2 where prefixed && name[0] == "profile": name[1]
                    default: nil
                    }
                if let section { profiles[section, default: [:]] = profiles[section] ?? [:] }
            } else if let section, let equals = line.firstIndex(of: "=") {
                let value = line[line.index(after: equals)...].trimmed
                if !value.isEmpty { profiles[section, default: [:]][line[..<equals].trimmed.lowercased()] = value }
            }
        }
    }

    subscript(_ profile: String) -> [String: String]? { profiles[profile] }

    /// Both files as one: what stands in `credentials` wins. Nil where neither has the profile.
    static func settings(of profile: String, _ variable: StoreEnvironment) -> [String: String]? {
        let home = variable("HOME").map { $0 + "/.aws/" }
        var found: [String: String]?
        for (name, file, prefixed) in [("AWS_CONFIG_FILE", "config", true), ("AWS_SHARED_CREDENTIALS_FILE", "credentials", false)] {
            guard let path = variable(name) ?? home.map({ $0 + file }), let text = read(path) else { continue }
            guard let settings = ProfileFile(parsing: text, prefixed: prefixed)[profile] else { continue }
            found = (found ?? [:]).merging(settings) { $1 }
        }
        return found
    }

    /// Nil for what cannot be read, and for more than 1 MiB.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= 1 << 20 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? String(validating: bytes, as: UTF8.self) : nil }
            bytes += buffer[..<count]
        }
        return nil
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
