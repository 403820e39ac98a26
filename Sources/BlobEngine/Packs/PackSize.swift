/// The sizes that packs may have, so that they tell little of what is in them (docs/adr/0039-sizes.md).
public enum PackSize {
    /// The least size of a class that holds `count` bytes, by Padmé (Nikitin and others, "Reducing Metadata Leakage from Encrypted Files and
    /// Communication with PURBs", PETS 2019, 3): of a number with exponent E only the first log2 E + 2 bits may differ from zero. At most 12 % more,
    /// and less than 3.2 % from 64 KiB on.
    public static func padded(_ count: Int) -> Int {
        guard count >= 2 else { return count }
        let exponent = Int.bitWidth - 1 - count.leadingZeroBitCount
        let kept = Int.bitWidth - exponent.leadingZeroBitCount
        let mask = (1 << max(0, exponent - kept)) - 1
        return (count + mask) & ~mask
    }
}
