import Ingest

/// Names that came from elsewhere, as they may be shown.
enum TextDisplay {
    /// Control characters escaped, so that no name can move the cursor or begin a line.
    static func oneLine(_ text: String) -> String { RawPath.describe(text.utf8) }
}
