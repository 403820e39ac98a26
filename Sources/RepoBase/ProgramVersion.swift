public enum ProgramVersion {
    /// As printed by `repo --version` and recorded in snapshots.
    public static let current = "0.1.0"
}
