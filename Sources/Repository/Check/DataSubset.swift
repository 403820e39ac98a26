public import RepoBase

/// Which packs a check reads in whole.
public enum DataSubset: Hashable, Sendable {
    case all
    /// The packs whose ids fall into one part of several, by their last bits: the same pack is always in the same part, while packs
    /// come and go. Parts count from 1.
    case part(Int, of: Int)
    /// So many hundredths of all bytes, those first that this machine has not verified for longest.
    case percentage(Double)
    /// So many bytes, chosen in the same way.
    case size(UInt64)

    /// `N/M`, `P%`, or a size with an optional K, M, G or T (powers of 1024). Throws `.usage`.
    public init(parsing text: String) throws(RepoError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, let part = Int(parts[0]), let count = Int(parts[1]), count >= 1,
            (1...count).contains(part)
        {
            self = .part(part, of: count)
            return
        }
        if text.hasSuffix("%"), let share = Double(text.dropLast()), share > 0, share <= 100 {
            self = .percentage(share)
            return
        }
        if let size = ByteCount.parse(text) {
            self = .size(size)
            return
        }
        throw RepoError(
            .usage, "'\(text)' is no subset of the data",
            advice: "Use a part as in 1/7, a share as in 5%, or a size as in 500M.")
    }

    static func isIn(_ id: ObjectID, part: Int, of count: Int) -> Bool {
        id.word3 % UInt64(count) == UInt64(part - 1)
    }
}
