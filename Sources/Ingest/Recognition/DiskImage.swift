/// Images of disks and file systems, which a machine writes to in blocks.
enum DiskImage {
    /// What guests' file systems write at once, and a divisor of every format's own allocation unit.
    private static let blockSize = 4096
    /// Smaller raw images are hardly live disks, and their signatures are weak.
    private static let smallestRawImage: UInt64 = 16 << 20

    /// The block size of an image, or nothing for any other file.
    static func pageSize(_ header: FileHeader, size: UInt64) -> Int? {
        isContainer(header) || isRaw(header, size: size) ? blockSize : nil
    }

    private static func isContainer(_ header: FileHeader) -> Bool {
        // qcow2 (QEMU docs/interop/qcow2.txt): magic, version 2 or 3, cluster_bits 9 to 21 at 20.
        if header.has([0x51, 0x46, 0x49, 0xfb]) {
            return (2...3).contains(header.bigEndian32(4)) && (9...21).contains(header.bigEndian32(20))
        }
        // VMDK sparse extent (VMware Virtual Disk Format 5.0): magic, version 1 to 3, flags at 8, of which bit
        // 16 says that grains are compressed: such a file is written once, as a stream.
        if header.has("KDMV") {
            return (1...3).contains(header.littleEndian32(4)) && header.littleEndian32(8) & 0x10000 == 0
        }
        // VDI (VirtualBox VDICore.h): signature after 64 bytes of text, major version 1 in the high half.
        if header.littleEndian32(0x40) == 0xbeda_107f { return header.littleEndian32(0x44) >> 16 == 1 }
        // VHD (Virtual Hard Disk Image Format Specification 1.0): a dynamic disk begins with a copy of its
        // footer, which has version 1.0 at 12. A fixed disk is a raw image with a footer.
        if header.has("conectix") { return header.bigEndian32(12) == 0x10000 }
        // VHDX ([MS-VHDX] 2.2.1).
        return header.has("vhdxfile")
    }

    private static func isRaw(_ header: FileHeader, size: UInt64) -> Bool {
        guard size >= smallestRawImage, size % 512 == 0 else { return false }
        return isPartitioned(header) || isFileSystem(header)
    }

    /// A master boot record with a plausible table, or a GUID partition table behind one (UEFI 5.2, 5.3).
    private static func isPartitioned(_ header: FileHeader) -> Bool {
        guard header.has([0x55, 0xaa], at: 510) else { return false }
        if header.has("EFI PART", at: 512) { return true }
        var used = 0
        for entry in stride(from: 446, to: 510, by: 16) {
            let (status, type) = (header[entry], header[entry + 4])
            guard status == 0 || status == 0x80 else { return false }
            if type == 0 { continue }
            guard header.littleEndian32(entry + 8) > 0, header.littleEndian32(entry + 12) > 0 else {
                return false
            }
            used += 1
        }
        return used > 0
    }

    private static func isFileSystem(_ header: FileHeader) -> Bool {
        // ext2 to ext4 (linux fs/ext4/ext4.h): superblock at 1024, s_magic at 56, s_log_block_size at 24.
        if header.littleEndian16(1024 + 56) == 0xef53, header.littleEndian32(1024 + 24) <= 6 { return true }
        // XFS (xfs_format.h): sb_magicnum, sb_blocksize.
        if header.has("XFSB"), header.bigEndian32(4).ifPowerOfTwo(in: 512...65536) != nil { return true }
        // LUKS 1 and 2 (cryptsetup): magic and version.
        return header.has([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]) && (1...2).contains(header.bigEndian16(6))
    }
}
