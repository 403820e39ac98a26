/// Sizes as people read and write them: powers of 1024, with the IEC names.
public enum ByteCount {
    /// `1536` becomes `1.5 KiB`; below 1 KiB the plain number with `B`.
    public static func describe(_ bytes: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var whole = bytes
        var tenths: UInt64 = 0
        var unit = 0
        while whole >= 1024, unit < units.count - 1 {
            tenths = (whole % 1024) * 10 / 1024
            whole /= 1024
            unit += 1
        }
        return unit == 0 ? "\(whole) B" : "\(whole).\(tenths) \(units[unit])"
    }

    /// A number of bytes, or of KiB, MiB, GiB, TiB with K, M, G or T behind it, in either case. Nil for anything else, and for 0.
    public static func parse(_ text: String) -> UInt64? {
        let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        let unit = text.last.flatMap { units[Character($0.uppercased())] }
        guard let number = UInt64(unit == nil ? text[...] : text.dropLast()), number > 0 else { return nil }
        let (size, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
        return overflow ? nil : size
    }
}

extension UInt64 {
    /// The sum, or the largest number there is: for what records claim, which may be anything.
    public func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
