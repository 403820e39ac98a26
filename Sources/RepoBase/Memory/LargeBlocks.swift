import CLinux

/// What the C library does with blocks of hundreds of kilobytes.
public enum LargeBlocks {
    /// From now on they are the kernel's own pages, and go back to it when they are freed (mallopt(3), `M_MMAP_THRESHOLD`). Otherwise each thread keeps the
    /// most that it ever had: restoring 2 GB from S3 with sixteen threads took 456 and 474 MiB so, and 235 and 246 with this. Costs faults, so it is for work with many
    /// threads that mostly wait.
    public static func returnAtOnce() { _ = linux_map_blocks_from(256 << 10) }
}
