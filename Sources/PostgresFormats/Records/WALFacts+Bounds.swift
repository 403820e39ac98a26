extension WALFacts {
    /// Whether every position lies in the segment that this is said of: whoever stored it may have said anything.
    public func lies(in segment: WALSegment, size: WALSegmentSize) -> Bool {
        let start = segment.start(size)
        // Without the end itself, which the last segment that there can be does not have.
        func begins(_ position: LogSequenceNumber) -> Bool { position >= start && position.value - start.value < UInt64(size.bytes) }
        func ends(_ position: LogSequenceNumber) -> Bool { position > start && position.value - start.value <= UInt64(size.bytes) }
        return [firstRecord, switchRecord, openRecord?.position].allSatisfy { $0.map(begins) ?? true } && (endOfRecords.map(ends) ?? true)
            && restorePoints.allSatisfy { begins($0.position) && ends($0.end) && $0.position < $0.end } && checkpoints.allSatisfy { begins($0.position) }
    }
}
