extension FileTime {
    /// The seconds since 1970 of what programs do: from 0001-01-02 to 9999-12-30 (UTC). Nothing that is added to such a time, or the
    /// difference of two, leaves `Int64`. Times of files may be any.
    public static let recordedSeconds: ClosedRange<Int64> = -719_161 * 86_400...2_932_896 * 86_400 - 1
}

/// Moments of what programs did, as format.md has them: seconds, or seconds and nanoseconds. Other seconds than `recordedSeconds` no program writes, and a signed
/// record that has them would let arithmetic on them trap at everybody who reads it.
extension ByteReader {
    public mutating func recordedSeconds() throws(RepoError) -> Int64 {
        let seconds = try zigzag()
        guard FileTime.recordedSeconds.contains(seconds) else { throw fail("a time lies outside the years 1 to 9999") }
        return seconds
    }

    public mutating func recordedMoment() throws(RepoError) -> FileTime {
        FileTime(seconds: try recordedSeconds(), nanoseconds: UInt32(try varint(atMost: 999_999_999, "a count of nanoseconds")))
    }
}

extension ByteWriter {
    public mutating func recordedMoment(_ time: FileTime) {
        zigzag(time.seconds)
        varint(UInt64(time.nanoseconds))
    }
}
