import CLinux

/// What the C library does with blocks of hundreds of kilobytes.
public enum LargeBlocks {
    /// From now on they are the kernel's own pages, and go back to it when they are freed (mallopt(3), `M_MMAP_THRESHOLD`). Otherwise each thread keeps the
    /// most that it ever had: restoring 2 GB from S3 with sixteen threads took 430 MiB so, and 220 with this. Costs faults, so it is for work with many
    /// threads that mostly wait.
    public static func returnAtOnce() { _ = linux_map_blocks_from(256 << 10) }
}
