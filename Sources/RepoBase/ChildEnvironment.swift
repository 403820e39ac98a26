import Glibc

/// The variables that programs get which this one starts.
public enum ChildEnvironment {
    /// What is this program's alone.
    private static let secrets: Set<Substring> = ["REPO_PASSWORD"]

    /// Ours without the password, and with some changed, each `NAME=value`.
    public static func variables(_ changes: [String: String] = [:]) -> [String] {
        var words: [String] = []
        var variable = environ
        while let text = variable.pointee {
            let word = String(cString: text)
            let name = word.prefix { $0 != "=" }
            if changes[String(name)] == nil, !secrets.contains(name) { words.append(word) }
            variable += 1
        }
        return words + changes.map { "\($0.key)=\($0.value)" }
    }
}
