import Glibc
import RepoBase

extension CommandContext {
    /// The file that was named, or the first of the usual two; an empty configuration where there is none.
    ///
    /// Throws `.usage` for a file that was named and cannot be read, and for what does not belong in it.
    func configuration() throws -> Configuration {
        guard let file = try configurationFile() else { return Configuration() }
        let bytes = try LocalFile.read(file, "the configuration", limit: 16 << 20)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw RepoError(.usage, "the configuration \(file) is not UTF-8 text")
        }
        return try Configuration(parsing: text, file: file)
    }

    /// The system's comes first, since cron jobs run from it; then the user's (XDG Base Directory Specification).
    private func configurationFile() throws(RepoError) -> String? {
        if let named = options.config ?? console.variable("REPO_CONFIG") { return named }
        let home = console.variable("XDG_CONFIG_HOME") ?? console.variable("HOME").map { $0 + "/.config" }
        let usual = [Self.systemConfiguration] + (home.map { [$0 + "/repo/repo.toml"] } ?? [])
        return usual.first { access($0, F_OK) == 0 }
    }

    static let systemConfiguration = "/etc/repo/repo.toml"
}
