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
}
