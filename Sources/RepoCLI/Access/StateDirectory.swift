extension CommandContext {
    /// Where this program keeps what must not be lost and cannot be made again (XDG Base Directory Specification; systemd.exec, StateDirectory=).
    func stateDirectory() -> String {
        if let folder = console.variable("REPO_STATE_DIR") { return folder }
        if let folders = console.variable("STATE_DIRECTORY"), let first = folders.split(separator: ":").first { return String(first) }
        if let state = console.variable("XDG_STATE_HOME"), state.hasPrefix("/") { return state + "/repo" }
        if let home = console.variable("HOME") { return home + "/.local/state/repo" }
        return Self.systemStateDirectory
    }

    static let systemStateDirectory = "/var/lib/repo"
}
